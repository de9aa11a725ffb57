"""What `down` keeps for the next `up`: ministack's own state files, its objects, and the ports."""

import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from localcloud.environment import Addresses
from localcloud.files import replace_text
from localcloud.ministack.server import UNSAVED


class KeptState:
    """The kept state of one local cloud.

    ministack reads it when it starts. It writes photos at once, everything else when it is asked to (after a
    deployment) and when it is stopped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._addresses = folder / "addresses.json"

    def settings(self) -> dict[str, str]:
        """Return ministack's variables that let it read and write this state."""
        return ministack_folders(self.folder) | {"PERSIST_STATE": "1", "S3_PERSIST": "1"}

    def last_ports(self) -> list[int]:
        """Return the ports of the last start, ministack's first; [] if there was none."""
        return [port for url in self._last_urls() if (port := urlsplit(url).port)]

    def move_to(self, addresses: Addresses) -> None:
        """Replace the last start's URLs (of queues, for instance) by those of this start."""
        last = self._last_urls()
        if last and last[0] != addresses.aws_url:
            for file in (self.folder / "state").glob("*.json"):
                text = file.read_text(encoding="utf-8")
                if last[0] in text:
                    replace_text(file, text.replace(last[0], addresses.aws_url))
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._addresses, json.dumps([addresses.aws_url, addresses.sagemaker_url]) + "\n")

    def recover(self) -> str:
        """Make what a killed ministack left fit for a start; return what was lost, empty if nothing.

        The photos are whole: ministack writes them at once. All else is as it was when it was last saved.
        """
        if not (self.folder / UNSAVED).exists():
            return ""
        if any((self.folder / "state").glob("*.json")):
            return (
                "the local cloud was killed last time: what was recorded since its last deployment is lost, "
                "photos are not; classify them: scones redrive --missing --older-than 1s"
            )
        self.erase()
        return "the local cloud was killed last time before anything was deployed: it starts anew"

    def erase(self) -> None:
        """Remove photos, results, stacks and everything else that is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _last_urls(self) -> list[str]:
        try:
            return [str(url) for url in json.loads(self._addresses.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):
            return []


def ministack_folders(folder: Path) -> dict[str, str]:
    """Return ministack's variables that keep its files in a folder, instead of in /tmp."""
    return {"STATE_DIR": str(folder / "state"), "S3_DATA_DIR": str(folder / "s3")}
