"""What to train: an option for each setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from trainers.cli.choices import (
    BiasStartChoice,
    DictionaryChoice,
    GroupDrawChoice,
    L0PenaltyChoice,
    NormalisationChoice,
    OrderChoice,
    PrecisionChoice,
)
from trainers.cli.run_options import SettingsOptions

__all__ = ["TrainingOptions"]


@dataclass(frozen=True, slots=True)
class TrainingOptions(SettingsOptions):
    """What to train: fields of `TrainConfig`.

    Here `site` and `target` stand for `sites` and `targets`, and `dictionary` may be none.
    """

    dictionary: Annotated[DictionaryChoice, typer.Option(help="What to train; `none` only streams.")] = (
        DictionaryChoice.TOPK_SAE
    )
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site or glob; several with commas, or by repeating the option.", show_default="all"),
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Site or glob that a transcoder writes; for clt-* as many as --site, in the same order.",
            show_default="the sites read (clt-*)",
        ),
    ] = None
    skip: Annotated[
        bool | None,
        typer.Option("--skip/--no-skip", help="Add an affine skip connection (transcoder-*).", show_default="no skip"),
    ] = None
    latents: Annotated[
        int | None,
        typer.Option(help="Dictionary size F; of each layer (clt-*).", show_default="expansion x features"),
    ] = None
    expansion: Annotated[
        int, typer.Option(help="F divided by the features of a site.", show_default="8 latents a feature")
    ] = 8
    k: Annotated[
        int | None,
        typer.Option(
            help="Latents kept for each row (TopK), or on average (BatchTopK, Matryoshka); of each layer (clt-*).",
            show_default="32 latents a row",
            rich_help_panel="Sparsity",
        ),
    ] = None
    threshold_decay: Annotated[
        float | None,
        typer.Option(
            help="BatchTopK: weight that each older batch keeps in the mean of cutoffs, which is the threshold for "
            "evaluation.",
            show_default="0.99, a mean over about 100 batches",
            rich_help_panel="Sparsity",
        ),
    ] = None
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE,SHARE,...",
            help="Matryoshka: share of the latents in each group. Each prefix of groups must reconstruct.",
            show_default="1/16, 1/16, 1/8, 1/4, 1/2",
            rich_help_panel="Sparsity",
        ),
    ] = None
    group_draw: Annotated[
        GroupDrawChoice | None,
        typer.Option(
            help="Matryoshka: prefixes of the groups, or random ones in each step.",
            show_default="fixed",
            rich_help_panel="Sparsity",
        ),
    ] = None
    l0_target: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: active latents of a row that the penalty aims at, or counts by; of each layer (clt-*).",
            show_default="32 latents a row",
            rich_help_panel="Sparsity",
        ),
    ] = None
    l0_penalty: Annotated[
        L0PenaltyChoice | None,
        typer.Option(
            help="JumpReLU: `target` is (L0 / l0-target - 1)^2, `linear` L0 / l0-target; `tanh` counts weak latents "
            "less.",
            show_default="target",
            rich_help_panel="Sparsity",
        ),
    ] = None
    bandwidth: Annotated[
        float | None,
        typer.Option(
            help="JumpReLU: window around a threshold in which pre-activations move it, in units of the spread of the "
            "rows.",
            show_default="as measured",
            rich_help_panel="Sparsity",
        ),
    ] = None
    sparsity: Annotated[
        float | None,
        typer.Option(
            help="Weight of the penalty beside the unexplained share (all but TopK), for rows of any scale.",
            show_default="0.06 for most, 0.03 for p-annealing-sae",
            rich_help_panel="Sparsity",
        ),
    ] = None
    p_end: Annotated[
        float | None,
        typer.Option(
            help="Power of the penalty at the end (p-annealing-sae); it begins at 1.",
            show_default="a power of 0.2",
            rich_help_panel="Sparsity",
        ),
    ] = None
    p_anneal_from: Annotated[
        float | None,
        typer.Option(
            help="Share of the rows after which the power falls.",
            show_default="a tenth of the rows",
            rich_help_panel="Sparsity",
        ),
    ] = None
    shared_latents: Annotated[
        float | None,
        typer.Option(
            help="Latents with the same decoder at all sites (crosscoders): a number, or a share below 1.",
            show_default="0 latents",
            rich_help_panel="Sparsity",
        ),
    ] = None
    exclusive_latents: Annotated[
        float | None,
        typer.Option(
            help="Latents that only one site has, for each site (crosscoders): a number, or a share below 1.",
            show_default="0 latents",
            rich_help_panel="Sparsity",
        ),
    ] = None
    shared_sparsity: Annotated[
        float | None,
        typer.Option(
            help="Factor of the penalty of shared latents (crosscoder-l1, -l2).",
            show_default="a tenth of the penalty",
            rich_help_panel="Sparsity",
        ),
    ] = None
    sparsity_warmup_share: Annotated[
        float,
        typer.Option(
            help="Share of the run in which the penalty rises, so that latents do not die before they learn.",
            show_default="0.1 of the rows",
            rich_help_panel="Sparsity",
        ),
    ] = 0.1
    steps: Annotated[
        int | None,
        typer.Option(
            help="Batches; with --resume, more than before train longer, and fewer end earlier.",
            show_default="once through the split, in batches",
            rich_help_panel="Optimisation",
        ),
    ] = None
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate of the decoder; the encoder has less.",
            show_default="5e-3 sqrt(1024 / F)",
            rich_help_panel="Optimisation",
        ),
    ] = None
    encoder_rate: Annotated[
        float | None,
        typer.Option(
            help="Learning rate of the encoder beside that of the decoder.",
            show_default="0.25 up to 1,000 steps, then less, down to 0.0625",
            rich_help_panel="Optimisation",
        ),
    ] = None
    warmup_share: Annotated[
        float,
        typer.Option(
            help="Share of the run in which the learning rate rises, at most 1,000 steps.",
            show_default="0.05 of the rows",
            rich_help_panel="Optimisation",
        ),
    ] = 0.05
    decay_share: Annotated[
        float,
        typer.Option(
            help="Share of the run, at its end, in which the learning rate falls to 0.",
            show_default="0.2 of the rows",
            rich_help_panel="Optimisation",
        ),
    ] = 0.2
    gradient_clip: Annotated[
        float,
        typer.Option(
            help="Largest norm of the gradient; a larger one is scaled down.",
            show_default="1 for all weights together",
            rich_help_panel="Optimisation",
        ),
    ] = 1.0
    precision: Annotated[
        PrecisionChoice,
        typer.Option(
            help="Number format of products; weights and losses stay in float32.", rich_help_panel="Optimisation"
        ),
    ] = PrecisionChoice.FLOAT32
    batch_rows: Annotated[
        int, typer.Option(help="Rows of a batch.", show_default="2,048 rows", rich_help_panel="Rows")
    ] = 2048
    seed: Annotated[
        int,
        typer.Option(help="Seeds initial weights and, without --order-seed, order of rows.", rich_help_panel="Rows"),
    ] = 0
    order_seed: Annotated[
        int | None,
        typer.Option(
            help="Seeds the order of rows alone, so that runs of several seeds get the same batches.",
            show_default="as --seed",
            rich_help_panel="Rows",
        ),
    ] = None
    order: Annotated[
        OrderChoice,
        typer.Option(
            help="Rows mixed in a buffer, or a true permutation (local, uncompressed stores).", rich_help_panel="Rows"
        ),
    ] = OrderChoice.WINDOWS
    split: Annotated[str, typer.Option(help="Split to train on.", rich_help_panel="Rows")] = "train"
    normalisation: Annotated[
        NormalisationChoice,
        typer.Option(
            help="Scale of each site: mean square norm 1 (unit), mean norm sqrt(D) (sqrt_d), or none. Or each row by "
            "itself: less its mean, over its deviation (row-zscore, as ESMC), or to norm sqrt(D) (row-norm).",
            rich_help_panel="Rows",
        ),
    ] = NormalisationChoice.UNIT
    max_norm_quantile: Annotated[
        float | None,
        typer.Option(
            rich_help_panel="Rows",
            help="Leave rows out of training that are longer than this quantile of the norms at a site, such as 0.999.",
            show_default="train on all",
        ),
    ] = None
    b_dec_start: Annotated[
        BiasStartChoice,
        typer.Option(
            rich_help_panel="Rows", help="Where the decoder bias starts; the mean is as good in our measurements."
        ),
    ] = BiasStartChoice.MEAN
    auxk_weight: Annotated[
        float,
        typer.Option(
            help="Weight of the AuxK loss, in which dead latents learn what the others leave over (TopK); 0 for none.",
            show_default="0.03125 of a share",
            rich_help_panel="Dead latents",
        ),
    ] = 1 / 32
    auxk_latents: Annotated[
        int | None,
        typer.Option(
            help="Most dead latents that AuxK uses for a row.",
            show_default="half the features of a site",
            rich_help_panel="Dead latents",
        ),
    ] = None
    dead_after_rows: Annotated[
        int | None,
        typer.Option(
            help="A latent is dead if it fired on none of so many last rows.",
            show_default="320 F / k rows, 10 batches to 10 M",
            rich_help_panel="Dead latents",
        ),
    ] = None
    decorrelation_weight: Annotated[
        float,
        typer.Option(
            rich_help_panel="Further terms",
            help="Weight of the squared cosines between decoder atoms, which are 1 if random.",
        ),
    ] = 0.0
    smoothness_weight: Annotated[
        float,
        typer.Option(
            rich_help_panel="Further terms",
            help="Weight of the difference between codes of neighbouring residues; needs large batches.",
        ),
    ] = 0.0
    labels: Annotated[
        str | None,
        typer.Option(
            rich_help_panel="Further terms",
            metavar="FILE",
            help="Parquet with labels of residues for the probe: sequence, position (from 0), a column for each label.",
            show_default="none",
        ),
    ] = None
    probe_weight: Annotated[
        float,
        typer.Option(
            rich_help_panel="Further terms", help="Weight of the loss of a linear probe that reads --labels from codes."
        ),
    ] = 0.0
