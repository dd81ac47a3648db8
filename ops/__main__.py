"""`python -m ops`: the command line, without the script that installing makes."""

from ops.cli import main

if __name__ == "__main__":
    main(prog_name="gelato-rollup")
