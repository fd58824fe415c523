"""Names the wheel after this platform if compiled code goes into it; otherwise it stays one for all."""

import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Hook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict) -> None:
        built = Path(self.root) / "src" / "karussell" / "native" / "built"
        if version == "standard" and any(built.glob("*.so")):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{platform}"
