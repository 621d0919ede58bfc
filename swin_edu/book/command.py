"""The commands of ``python3 -m swin_edu``. Each first makes sure of ``.venv``, then runs in it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from swin_edu.book.environment import Environment, InstallError

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("classification", "detection", "segmentation")
FIRST_PAGE = "notebooks/00_start_here.ipynb"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a failed installation is told in one sentence."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments or ["open"])
    except InstallError as error:
        print(f"swin_edu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nswin_edu: stopped", file=sys.stderr)
        return 130


def run(arguments: list[str]) -> int:
    """Run the command that the arguments name, in .venv's Python."""
    options, passed_on = make_parser().parse_known_args(arguments)
    if passed_on and options.command not in ("open", "test"):
        make_parser().error(f"unrecognized arguments: {' '.join(passed_on)}")
    environment = Environment(ROOT)
    environment.ensure(test=options.command == "test")
    if options.command == "open":
        return open_book(environment, passed_on)
    if options.command == "test":
        return run_tests(environment, passed_on)
    if not (environment.is_running() or Environment(ROOT, ".venv-peers").is_running()):
        return environment.execute("-m", "swin_edu", *arguments)
    return run_inside(options)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser("python3 -m swin_edu", description="Without a command, opens the book.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("open", help="open the first page in JupyterLab; its options are passed on")
    commands.add_parser("test", help="run all tests; the options of pytest are passed on")
    write = commands.add_parser("write", help="write the modules from the chapters and run these")
    write.add_argument("chapters", nargs="*", metavar="CHAPTER")
    write.add_argument("--check", action="store_true", help="change nothing; fail if something would change")
    commands.add_parser("figures", help="draw the pictures in figures/ again")
    bench = commands.add_parser("bench", help="measure how fast the models are on this machine")
    bench.add_argument("--peers", action="store_true", help="beside timm, torchvision and transformers")
    bench.add_argument("--model", nargs="*", default=[], metavar="NAME", help="such as swin_s or swin_v2_t")
    compare = commands.add_parser("compare", help="train and time Swin beside its rivals, on equal terms")
    compare.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        help="attentions, lengths, backbones, sides, tasks or pyramids; all if none",
    )
    explain = commands.add_parser("explain", help="show what a model sees in a picture of yours")
    explain.add_argument("image", metavar="IMAGE")
    explain.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="for the PNG and the page"
    )
    explain.add_argument("--weights", type=Path, metavar="FILE", help="of train, or of --model")
    explain.add_argument("--model", metavar="NAME", help="of published weights, such as swin_t")
    explain.add_argument("--class", dest="wanted", metavar="CLASS", help="to explain: a name or a number")
    train = commands.add_parser("train", help="train a small Swin; the same command goes on after a stop")
    train.add_argument(
        "data",
        nargs="?",
        default="digits",
        metavar="DATA",
        help="digits, scenes, or a folder: of CIFAR-10, or for detection and segmentation of COCO or VOC",
    )
    train.add_argument("--task", choices=TASKS, default=TASKS[0])
    train.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="FOLDER", help="for weights and curves"
    )
    train.add_argument("--seed", type=int, default=0, metavar="N")
    train.add_argument("--epochs", type=int, metavar="N", help="instead of the recipe's")
    train.add_argument("--fast", action="store_true", help="with the model of chapter 9")
    train.add_argument(
        "--shard", action="store_true", help="started by torchrun: divide the model among the processes too"
    )
    predict = commands.add_parser("predict", help="write what a trained model finds in pictures of yours")
    predict.add_argument("images", nargs="+", metavar="IMAGE")
    predict.add_argument("--task", choices=TASKS, default="detection")
    predict.add_argument("--weights", type=Path, metavar="FILE", help="of train, instead of the book's own")
    predict.add_argument(
        "--threshold", type=float, default=0.3, metavar="SHARE", help="the least score of an object"
    )
    predict.add_argument(
        "--out", type=Path, default=Path(), metavar="FOLDER", help="for the PNGs and the JSON files"
    )
    release = commands.add_parser("release", help="write what students get of an assignment")
    release.add_argument("assignment", metavar="A1")
    release.add_argument("out", type=Path, metavar="OUT")
    grade = commands.add_parser(
        "grade", help="grade a class in a sandbox; the same command goes on after a stop"
    )
    grade.add_argument("assignment", metavar="A1")
    grade.add_argument(
        "submissions", type=Path, metavar="SUBMISSIONS", help="a folder of notebooks, or of folders"
    )
    grade.add_argument("--out", type=Path, required=True, metavar="RESULTS")
    grade.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at the same time")
    grade.add_argument(
        "--shard", default="1/1", metavar="I/N", help="only this part of the class; then merge"
    )
    grade.add_argument(
        "--no-sandbox", action="store_true", help="let submissions do what they want to this machine"
    )
    merge = commands.add_parser("merge", help="write tables and pages of a class that was graded in shards")
    merge.add_argument("assignment", metavar="A1")
    merge.add_argument("out", type=Path, metavar="RESULTS")
    site = commands.add_parser("site", help="write the book as web pages")
    site.add_argument("out", type=Path, metavar="OUT")
    site.add_argument("chapters", nargs="*", metavar="CHAPTER")
    return parser


def open_book(environment: Environment, passed_on: list[str]) -> int:
    """Open the first page in JupyterLab, which runs for root only if told to; -y: one Ctrl-C ends it."""
    os.chdir(environment.root)
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    whole_project = f"--ServerApp.root_dir={environment.root}"  # or the reader sees only notebooks/
    return environment.execute("-m", "jupyterlab", FIRST_PAGE, "-y", whole_project, *as_root, *passed_on)


def run_tests(environment: Environment, passed_on: list[str]) -> int:
    """Run pytest on the package and the notebooks, a file or notebook to a process, at most four at once.

    The processes share the cores: more threads than cores would wait for each other, twice as long in all.
    """
    os.chdir(environment.root)
    cores = os.cpu_count() or 1
    processes = min(4, cores)
    os.environ.setdefault("OMP_NUM_THREADS", str(cores // processes))
    # Files in their order: pytest would keep those with few tests, which are often long, for the end.
    in_turn = ("--dist", "loadfile", "--no-loadscope-reorder")
    return environment.execute("-m", "pytest", "-n", str(processes), *in_turn, *passed_on)


def run_inside(options: argparse.Namespace) -> int:
    """Run a command that imports what only .venv has, hence the imports in here."""
    if options.command in ("bench", "compare", "explain", "predict", "train"):
        from swin_edu.book.device import device

        try:
            device()
        except (ValueError, RuntimeError) as problem:  # SWIN_EDU_DEVICE names what is not here
            if os.environ.get("LOCAL_RANK", "0") == "0":  # one tells for all that torchrun starts
                print(f"swin_edu: {problem}", file=sys.stderr)
            return 2
    if options.command == "write":
        from swin_edu.book import write

        return write.main(options.chapters, options.check)
    if options.command == "figures":
        from swin_edu.book import figures

        return figures.main()
    if options.command == "bench":
        from swin_edu.book import bench

        return bench.main(options.model, options.peers)
    if options.command == "compare":
        from swin_edu.book import compare

        return compare.main(options.tables)
    if options.command == "explain":
        from swin_edu.book import explain

        return explain.main(options.image, options.out, options.weights, options.model, options.wanted)
    if options.command == "train":
        from swin_edu.book import train

        how = options.fast, options.task, options.shard
        return train.main(options.data, options.out, options.seed, options.epochs, *how)
    if options.command == "predict":
        from swin_edu.book import predict

        return predict.main(options.images, options.task, options.out, options.weights, options.threshold)
    if options.command == "release":
        from swin_edu.book.classroom import release

        return release.main(options.assignment, options.out)
    if options.command in ("grade", "merge"):
        from swin_edu.book.classroom import grade

        if options.command == "merge":
            return grade.merge(options.assignment, options.out)
        closed = not options.no_sandbox
        return grade.main(
            options.assignment, options.submissions, options.out, options.jobs, options.shard, closed
        )
    from swin_edu.book import site

    return site.main(options.out, options.chapters)
