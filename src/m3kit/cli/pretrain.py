"""`m3kit pretrain`: RetroMAE on plain texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from m3kit.cli import reading as r
from m3kit.cli.finetune import training_errors
from m3kit.ingest.sources import read_sources, strict

ModelName: TypeAlias = Annotated[
    str, typer.Option("--model", metavar="MODEL", help="What to begin with.")
]
Destination: TypeAlias = Annotated[
    Path, typer.Option("--to", metavar="FOLDER", show_default=False, help="Where to write.")
]
Positions: TypeAlias = Annotated[
    int, typer.Option(help="The longest text in tokens; positions are added where there are fewer.")
]
MaxLength: TypeAlias = Annotated[
    int | None,
    typer.Option(show_default=False, help="Tokens of a text in training, by default --positions."),
]
EncoderShare: TypeAlias = Annotated[
    float, typer.Option(help="The share of tokens that the encoder does not see.")
]
DecoderShare: TypeAlias = Annotated[
    float, typer.Option(help="The share of tokens that the decoder does not see.")
]
BatchSize: TypeAlias = Annotated[int, typer.Option(min=1, help="Texts of a batch, at most.")]
BatchTokens: TypeAlias = Annotated[int, typer.Option(min=1, help="Its tokens, at most.")]
Rate: TypeAlias = Annotated[float, typer.Option(help="The largest learning rate.")]
Epochs: TypeAlias = Annotated[int, typer.Option(min=1, help="Passes over the texts.")]
MaxSteps: TypeAlias = Annotated[int, typer.Option(help="Steps in place of --epochs; -1 for none.")]
Seed: TypeAlias = Annotated[int, typer.Option(help="Of shuffling and masks.")]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")
]


def pretrain(
    files: r.Files,
    *,
    to: Destination,
    model: ModelName = "FacebookAI/xlm-roberta-large",
    positions: Positions = 8192,
    max_length: MaxLength = None,
    encoder_share: EncoderShare = 0.3,
    decoder_share: DecoderShare = 0.5,
    batch_size: BatchSize = 32,
    batch_tokens: BatchTokens = 8192,
    learning_rate: Rate = 7e-5,
    epochs: Epochs = 1,
    max_steps: MaxSteps = -1,
    seed: Seed = 42,
    resume: Resume = False,
    format_: r.FileFormat = None,
    text_field: r.TextField = r.TEXT,
    split: r.SplitBy = None,
) -> None:
    """Pre-train an encoder on plain texts by RetroMAE."""
    with training_errors():
        from m3kit import training

        options = training.PretrainOptions(
            positions=positions,
            max_length=max_length,
            encoder_share=encoder_share,
            decoder_share=decoder_share,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            learning_rate=learning_rate,
            epochs=epochs,
            max_steps=max_steps,
            seed=seed,
        )
        documents = read_sources(files, format=format_, text_fields=text_field, split=split)
        texts = (document.text for document in strict(documents))
        pretrained = training.pretrain(texts, to, model=model, options=options, resume=resume)
        typer.echo(f"wrote {pretrained.folder}")
