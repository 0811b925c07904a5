"""Arguments in, exit code out. Nothing heavy is imported before the INI is known to be right."""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from csi_predictor.errors import CsiError

MODES = {
    "check": "read the INI, the labels, a sample of images, the weights; report every problem",
    "train": "train (or resume), then evaluate on the test split; `both` is an alias",
    "evaluate": "evaluate a bundle on a labelled set; `eval` is an alias",
    "score": "score a folder of DICOM, NIfTI, PNG, JPEG or TIFF files",
    "benchmark": "time and size networks and engines on this machine",
    "features": "write pooled features of labelled images, probes of them and a t-SNE picture",
    "synthesize": "write the embedded procedural radiographs with their labels",
    "models": "print the registry of networks; --fetch their weights, or --summary of one",
}
ALIASES = {"both": "train", "eval": "evaluate"}
DEFAULT_INI = "config.ini"
EXIT_INTERRUPTED = 130
EXIT_TRY_AGAIN = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one mode; returns the exit code of the process.

    0 done, 1 the run failed, 2 INI, arguments or labels are wrong, 75 run it again (disk full),
    130 interrupted.
    """
    options = _parse(arguments)
    try:
        return _run(options)
    except CsiError as error:
        return _report(error, str(error), error.exit_code, options.verbose)
    except KeyboardInterrupt as error:
        return _report(error, "interrupted", EXIT_INTERRUPTED, options.verbose)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        code = EXIT_TRY_AGAIN if error.errno in (errno.ENOSPC, errno.EDQUOT) else 1
        return _report(error, f"{error.filename or ''}: {error.strerror}", code, options.verbose)
    except Exception as error:  # the last resort: one line for the user, the rest on demand
        text = f"unexpected {type(error).__name__}: {error}. Run again with --verbose for details"
        return _report(error, text, 1, options.verbose)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    modes = "\n".join(f"  {name:<11} {text}" for name, text in MODES.items())
    parser = argparse.ArgumentParser(
        prog="csi-predictor",
        description="Train, evaluate and run radiology models from one INI file.",
        epilog=f"modes:\n{modes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--mode",
        required=True,
        choices=[*MODES, *ALIASES],
        metavar="MODE",
        help=", ".join(MODES),
    )
    parser.add_argument("--ini", "--config", metavar="FILE", help=f"default: {DEFAULT_INI}")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a key of the INI; relative paths are relative to the current folder",
    )
    parser.add_argument("--verbose", action="store_true", help="debug log and tracebacks")
    of_models = parser.add_mutually_exclusive_group()
    of_models.add_argument(
        "--fetch",
        metavar="NAME,NAME",
        help="of --mode models: download the published weights of these into MODELS_CACHE",
    )
    of_models.add_argument(
        "--summary", metavar="NAME", help="of --mode models: print the network layer by layer"
    )
    options = parser.parse_args(arguments)
    if options.mode != "models" and (options.fetch is not None or options.summary is not None):
        parser.error(f"--fetch and --summary belong to --mode models, not to {options.mode}")
    return options


def _run(options: argparse.Namespace) -> int:
    mode = ALIASES.get(options.mode, options.mode)
    if mode == "models" and options.fetch is None:
        return _show_models(options.summary)
    ini = options.ini or DEFAULT_INI
    if mode == "models" and options.ini is None and not Path(ini).is_file():
        ini = None  # a machine that only fetches needs no INI
    from csi_predictor.config import load_config

    overrides = [*options.set, *(["RUNTIME.LOG_LEVEL=DEBUG"] if options.verbose else [])]
    config = load_config(ini, overrides)

    from csi_predictor.logs import start_console_log

    start_console_log(config.runtime.log_level)
    from csi_predictor.modes import RUN_MODE, fetch

    if mode == "models":
        return fetch(config, options.fetch)
    return RUN_MODE[mode](config)


def _show_models(name: str | None) -> int:
    """The registry, without importing torch; or one network of it."""
    if name is None:
        from csi_predictor.architectures.listing import render_registry

        sys.stdout.write(render_registry())
        return 0
    from csi_predictor.modes import summarize

    return summarize(name)


def _report(error: BaseException, message: str, code: int, is_verbose: bool) -> int:
    if is_verbose:
        traceback.print_exception(error)
    for line in message.splitlines():
        sys.stderr.write(f"error: {line}\n")
    return code
