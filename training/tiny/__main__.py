"""
Train the tiny model: from Debian's packages to weights and a model card, by one command.

    python -m training.tiny --to build/tiny/model
    python -m training.tiny --packages DIR --to build/tiny/model    # takes .deb files from DIR
    python -m training.tiny --measure tiny                          # only measures a model
    python -m training.tiny --ablation                              # what each part of it brings
    python -m training.tiny --cross-encoder tiny                    # whether one orders better

A run that is interrupted goes on behind the last step that was finished: texts, tokenizer,
latent semantic analysis, stage 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from training.tiny.ablation import ablation
from training.tiny.build import Build
from training.tiny.card import card, table
from training.tiny.cross_encoder import cross_encoder_figures
from training.tiny.measures import figures
from training.tiny.options import Options
from training.tiny.release import compressed_size, write_release


def main() -> None:
    """Run the command."""
    arguments = _arguments()
    options = replace(
        Options(), seed=arguments.seed, steps=arguments.steps, bag_steps=arguments.bag_steps
    )
    build = Build(arguments.work, options, arguments.packages, _timed())
    if arguments.measure:
        print(table(figures(arguments.measure, build)))
    elif arguments.cross_encoder:
        print(cross_encoder_figures(arguments.cross_encoder, build))
    elif arguments.ablation:
        print(ablation(build))
    else:
        _train(build, arguments.to)


def _train(build: Build, folder: Path) -> None:
    model = build.unified()
    write_release(model, build.initial(), folder, build.options)
    measured = figures(folder, build)
    text = card(build.options, measured, compressed_size(folder))
    (folder / "README.md").write_text(text, "utf-8")
    print(table(measured))


def _timed() -> Callable[[str], None]:
    start = time.monotonic()
    return lambda line: print(f"{time.monotonic() - start:6.0f} s  {line}", flush=True)


def _arguments() -> argparse.Namespace:
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m training.tiny", description="Train tiny.")
    parser.add_argument("--work", type=Path, default=Path("build/tiny"), metavar="DIR")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="a folder of .deb files")
    parser.add_argument("--to", type=Path, default=Path("build/tiny/model"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--steps", type=int, default=defaults.steps, help="of stage 2")
    parser.add_argument("--bag-steps", type=int, default=defaults.bag_steps, help="of stage 1")
    parser.add_argument("--measure", metavar="MODEL", help="measure a model, and train none")
    parser.add_argument(
        "--cross-encoder", metavar="MODEL", help="train a cross-encoder of a model, and measure it"
    )
    parser.add_argument("--ablation", action="store_true", help="train without each part")
    return parser.parse_args()


if __name__ == "__main__":
    main()
