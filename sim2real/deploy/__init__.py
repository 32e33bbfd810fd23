"""Run an exported policy: standard library, numpy, onnxruntime where it is installed; nothing of the training side.

runner = BundleRunner("bundle")
runner.reset()
action = runner.step({"gripper_position_x": 1.34, ...})   # raw readings in, physical action out
"""

from sim2real.deploy.bundle import FILES, Bundle, is_bundle, load_bundle, verify_files
from sim2real.deploy.bundle_policy import BundlePolicy
from sim2real.deploy.contract import BundleError, Contract
from sim2real.deploy.robot import EpisodicRobot, Reading, Robot
from sim2real.deploy.runner import BundleRunner, ObservationError
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.simulate import check_simulated, check_task

__all__ = [
    "FILES",
    "Bundle",
    "BundleError",
    "BundlePolicy",
    "BundleRunner",
    "Contract",
    "EpisodicRobot",
    "ObservationError",
    "Reading",
    "Robot",
    "SafetyConfig",
    "SafetyFilter",
    "check_simulated",
    "check_task",
    "is_bundle",
    "load_bundle",
    "verify_files",
]
