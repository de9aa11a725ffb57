"""Run the SageMaker emulator on a port of its own, until its stdin closes."""

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from localcloud.sagemaker.server import SageMakerEmulator
from localcloud.sagemaker.validation import service_model
from localcloud.service import end_with_parent


def main() -> None:
    """Serve until a signal or the end of the parent."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.sagemaker", description=__doc__)
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=4567, help="port to listen on (default: %(default)s)")
    parser.add_argument("--folder", type=Path, required=True, help="where endpoints keep files and logs")
    parser.add_argument("--instance", default="", help="a name that the answer to GET /health repeats")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end_with_parent()
    service_model("sagemaker")  # half a second now instead of in the first request
    address, key = (arguments.bind, arguments.port), os.environ["AWS_ACCESS_KEY_ID"]
    with SageMakerEmulator(address, arguments.folder, arguments.instance, access_key=key) as server:
        logging.getLogger(__name__).info("listening on %s port %s", *server.server_address[:2])
        server.serve_forever()


if __name__ == "__main__":
    main()
