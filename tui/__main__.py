"""The console script `nsmc-tui`: settles the language, runs the command, turns errors into one line and a code."""

from __future__ import annotations

import io
import os
import sys
import traceback

EXIT_INTERRUPTED = 130


def _language_option(arguments: list[str]) -> str | None:
    """`--lang ko` or `--lang=ko` before anything is built, because help texts are made at import."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
        if argument == "--lang" and index + 1 < len(arguments):
            return arguments[index + 1]
        if not argument.startswith("-") and arguments[index - 1] not in ("--runs", "--lang"):
            return None
    return None


def main() -> None:
    """Run the command line and exit with its code."""
    from core.i18n import detect_language, set_language
    from core.settings import load_settings

    # A terminal that is not UTF-8 shows what it can; it is no reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:]
    set_language(_language_option(arguments) or detect_language(load_settings().get("lang")))
    import click

    from core.errors import NsmcTuiError
    from tui.cli import cli
    from tui.cli.usage import explained

    debug = "--debug" in arguments
    try:
        code = cli.main(args=arguments, prog_name="nsmc-tui", standalone_mode=False)
    except click.exceptions.Abort:
        code = EXIT_INTERRUPTED
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except click.ClickException as error:
        explained(error, cli, arguments).show()
        code = 2 if isinstance(error, click.UsageError) else 1
    except NsmcTuiError as error:
        from tui.cli.printing import print_error

        if debug:
            traceback.print_exc()
        print_error(error)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone (`nsmc-tui runs | head`): nothing to say, nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001 - a path, a file or a library of which nothing is known: told, not swallowed
        from core.answering import way_to_more
        from core.failures import explain
        from tui.cli.printing import print_error

        if debug:
            traceback.print_exc()
        known = explain(error, unknown=way_to_more())
        print_error(known)
        code = known.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
