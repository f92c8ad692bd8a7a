"""``spec.training``: how the model is trained (guide: Training Methodologies)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mtj_api.spec.base import Distinct, Rule, SpecModel, derived

Strategy = Literal["full", "finetune", "lora", "dora", "ia3", "adapter", "prompt", "selective"]
ADAPTATIONS = frozenset({"lora", "dora", "ia3", "adapter", "prompt"})
"""Strategies that leave the model as it is and train what they add."""

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Optimizer(SpecModel):
    """AdamW."""

    learning_rate: float = derived(gt=0.0, le=1.0)
    """Peak learning rate."""
    weight_decay: float = derived(ge=0.0, le=1.0)
    """Part of each weight that is taken away, times the learning rate, a step."""
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the average gradient."""
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the average squared gradient."""
    gradient_clip: float = Field(default=1.0, gt=0.0, le=1000.0)
    """Largest norm of the gradient; larger ones are scaled down to it."""


class Schedule(SpecModel):
    """The learning rate over time."""

    warmup_steps: int = derived(ge=0, le=10_000_000)
    """Steps over which the rate rises from 0 to its peak."""
    decay: Literal["cosine", "linear", "constant"] = derived()
    """How the rate falls from its peak to its last value."""
    final_ratio: float = Field(default=0.1, ge=0.0, le=1.0)
    """The last rate as a part of the peak."""


class Batch(SpecModel):
    """Sequences an optimizer step."""

    size: int = derived(ge=1, le=1_048_576)
    """Sequences a step over all processes."""
    accumulation: int = Field(default=1, ge=1, le=4096)
    """Into how many passes a step is divided, to save memory."""
    auto: bool = False
    """Where memory runs out, go on from the last checkpoint with twice as many passes, as often as it takes."""


class Regularization(SpecModel):
    """Against overfitting."""

    dropout: float = derived(ge=0.0, lt=1.0)
    """On the residual branches and embeddings; attention keeps its fast kernel without it."""
    weight_averaging: float = Field(default=0.999, ge=0.0, lt=1.0)
    """Decay of the exponential moving average of the weights that is evaluated and published; 0 is none."""


class BadSteps(SpecModel):
    """Steps whose loss or gradient is not a number, or a spike; they are left out.

    As in OLMo 2 (arXiv 2501.00656) and PaLM (arXiv 2204.02311)."""

    spike: float = Field(default=10.0, ge=0.0, le=1000.0)
    """Standard deviations above the median of 128 steps before, at which a loss or gradient is one; 0 is never."""
    roll_back_after: int = Field(default=10, ge=1, le=100)
    """So many bad ones among 100 steps: training goes back to the last good checkpoint, and on past their data."""
    fail_after: int = Field(default=3, ge=0, le=100)
    """Of such returns so many without a new good checkpoint: the next time the job fails; 0 is at once."""


class DeepSpeed(SpecModel):
    """How DeepSpeed divides what training holds in memory (Rajbhandari et al. 2020, arXiv 1910.02054)."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.offload != 'all' || self.zeroStage == 3",
            lambda d: d.offload != "all" or d.zero_stage == 3,
            "offload: all moves the weights, which only zeroStage 3 divides; write zeroStage: 3, or offload: optimizer",
            "offload",
        ),
        Rule(
            "self.offload != 'optimizer' || self.zeroStage > 0",
            lambda d: d.offload != "optimizer" or d.zero_stage > 0,
            "offload needs an optimizer state that is divided; write zeroStage: 1 or more, or offload: none",
            "offload",
        ),
    )

    zero_stage: int = Field(default=2, ge=0, le=3)
    """What is divided among the processes: 0 nothing, 1 optimizer state, 2 gradients too, 3 weights too."""
    offload: Literal["none", "optimizer", "all"] = "none"
    """What lies in the machine's memory instead of the GPU's: ``all`` is the weights too, and needs stage 3."""
    launcher: Literal["torchrun", "deepspeed"] = "torchrun"
    """What starts the processes."""


class Losses(SpecModel):
    """The parts of a codec's loss, by weight; the first five are balanced, so that a weight is a share of the gradient
    (Défossez et al. 2022, arXiv 2210.13438)."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.waveform + self.stft + self.mel > 0.0",
            lambda x: x.waveform + x.stft + x.mel > 0,
            "one of waveform, stft and mel must be more than 0: the others do not make a codec sound like its input",
        ),
    )

    waveform: float = Field(default=0.002, ge=0.0, le=1000.0)
    """Mean absolute difference of the samples. With much of it, such as 0.1, codes follow the phase of the waveform:
    the sound is closer, and a model that is to write such codes hardly learns to."""
    stft: float = Field(default=2.0, ge=0.0, le=1000.0)
    """Spectral convergence and log magnitude at several resolutions (Yamamoto et al. 2020, arXiv 1910.11480)."""
    mel: float = Field(default=1.0, ge=0.0, le=1000.0)
    """Mean absolute difference of log mel spectra at several resolutions."""
    adversarial: float = Field(default=0.0, ge=0.0, le=1000.0)
    """What a discriminator trained alongside objects to; 0 is without one. It pays off in long runs."""
    feature_matching: float = Field(default=0.0, ge=0.0, le=1000.0)
    """Difference of what the discriminator's layers see."""
    commitment: float = Field(default=0.02, ge=0.0, le=1000.0)
    """How closely the encoder keeps to the codebooks."""


class Peft(SpecModel):
    """What the strategies that add something small to a frozen model add (guide: PEFT)."""

    rank: int = derived(ge=1, le=1024)
    """Of lora and dora."""
    alpha: float = derived(gt=0.0, le=4096.0)
    """Their update is scaled by alpha over rank."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """On what goes into an update of lora and dora."""
    targets: Annotated[list[Pattern], Field(max_length=32), Distinct] = Field(default_factory=list)
    """Ends of the names of modules to adapt, by lora, dora and ia3, such as ``q_proj``; the family's own when empty.
    Adapters stand behind blocks, and have none."""
    bottleneck: int = Field(default=64, ge=1, le=8192)
    """Width of an adapter."""
    tokens: int = Field(default=16, ge=1, le=1024)
    """Learned states that strategy prompt puts before those of the text."""
    merge: bool = False
    """Publish the whole model with the update worked into it, instead of the update alone; of lora, dora, ia3 and
    selective."""


class Selective(SpecModel):
    """Which weights strategy selective trains; what any of these names is trained."""

    patterns: Annotated[list[Pattern], Field(max_length=32), Distinct] = Field(default_factory=list)
    """Names of weights, with ``*`` for any characters."""
    last_blocks: int = Field(default=0, ge=0, le=1024)
    """The last blocks of the transformer."""
    biases: bool = False
    """Every bias (Ben Zaken et al. 2022, arXiv 2106.10199)."""
    norms: bool = False
    """The gains and biases of every normalization."""


class Training(SpecModel):
    """How the model is trained."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.strategy) || !self.peft.merge || !(self.strategy in ['adapter', 'prompt'])",
            lambda t: t.strategy not in ("adapter", "prompt") or not t.peft.merge,
            "no weight of the model can hold an adapter or a prompt; leave merge out, or write lora, dora or ia3",
            "peft.merge",
        ),
        Rule(
            "!self.peft.merge || self.engine != 'deepspeed' || self.deepspeed.zeroStage < 3",
            lambda t: not t.peft.merge or t.engine != "deepspeed" or t.deepspeed.zero_stage < 3,
            "with zeroStage 3 no process has the whole model into which to merge; leave merge out, or write "
            "deepspeed: {zeroStage: 2}",
            "peft.merge",
        ),
        Rule(
            "!self.peft.merge || self.engine != 'fsdp'",
            lambda t: not t.peft.merge or t.engine != "fsdp",
            "with the engine fsdp no process has the whole model into which to merge; leave merge out, or write "
            "engine: torchrun",
            "peft.merge",
        ),
        Rule(
            "self.engine == 'torchrun' || self.precision != 'fp16'",
            lambda t: t.engine == "torchrun" or t.precision != "fp16",
            "the engine torchrun alone trains in fp16, which needs its losses scaled; write bf16 or fp32, or engine: "
            "torchrun",
            "precision",
        ),
        Rule(
            "!has(self.batch.size) || "
            "self.batch.size % (self.batch.accumulation * self.nodes * self.processesPerNode) == 0",
            lambda t: (
                t.batch.size is None or t.batch.size % (t.batch.accumulation * t.nodes * t.processes_per_node) == 0
            ),
            "the size must be a multiple of accumulation times nodes times processesPerNode, so that every pass of "
            "every process has the same number of sequences",
            "batch.size",
        ),
        Rule(
            "!has(self.minNodes) || self.minNodes <= self.nodes",
            lambda t: t.min_nodes is None or t.min_nodes <= t.nodes,
            "minNodes, the fewest nodes that training goes on with, is more than nodes; write at most as many",
            "minNodes",
        ),
        Rule(
            "!has(self.schedule.warmupSteps) || self.schedule.warmupSteps < self.steps",
            lambda t: t.schedule.warmup_steps is None or t.schedule.warmup_steps < t.steps,
            "warmupSteps must be less than steps; a twentieth of them is usual",
            "schedule.warmupSteps",
        ),
        Rule(
            "!has(self.strategy) || self.strategy != 'selective' || self.selective.patterns.size() > 0 || "
            "self.selective.lastBlocks > 0 || self.selective.biases || self.selective.norms",
            lambda t: t.strategy != "selective" or t.selective != Selective(),
            "strategy selective trains nothing as it is; write selective: {lastBlocks: 2}, or biases, norms or "
            "patterns",
            "selective",
        ),
    )

    strategy: Strategy = derived()
    """``full`` trains from scratch, ``finetune`` goes on with all weights of a model. ``lora``, ``dora``, ``ia3``,
    ``adapter`` and ``prompt`` add something small to a frozen one, ``selective`` trains a part of it."""
    peft: Peft = Field(default_factory=Peft)
    selective: Selective = Field(default_factory=Selective)
    engine: Literal["torchrun", "fsdp", "deepspeed"] = "torchrun"
    """``torchrun`` trains with DistributedDataParallel: every process holds all. ``fsdp`` divides weights, gradients
    and optimizer state among the processes, by PyTorch's FSDP2, ``deepspeed`` any of them, by ZeRO."""
    deepspeed: DeepSpeed = Field(default_factory=DeepSpeed)
    nodes: int = Field(default=1, ge=1, le=1024)
    """Machines that train together, a pod each on a cluster; one machine trains alone whatever this says."""
    min_nodes: int = derived(ge=1, le=1024)
    """The fewest machines that training goes on with where a cluster has no room for all, as after the loss of one; it
    grows back when there is room again. Every step keeps its batch: fewer machines make more passes of it."""
    processes_per_node: int = Field(default=1, ge=1, le=64)
    """Training processes on a machine: one a GPU, or a few on CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """``auto`` takes bf16 where the machine is faster with it, else fp32, and fp32 for a codec; fp16 needs a GPU."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: slower, and far less memory."""
    steps: int = Field(default=2000, ge=1, le=100_000_000)
    """Optimizer steps in all."""
    optimizer: Optimizer = Field(default_factory=Optimizer)
    schedule: Schedule = Field(default_factory=Schedule)
    batch: Batch = Field(default_factory=Batch)
    regularization: Regularization = Field(default_factory=Regularization)
    bad_steps: BadSteps = Field(default_factory=BadSteps)
    losses: Losses = Field(default_factory=Losses)
    crop_seconds: float = Field(default=1.0, ge=0.1, le=60.0)
    """Length of the pieces of recordings that a codec trains on."""
    hang_seconds: int = Field(default=600, ge=0, le=604_800)
    """After how long a step in which no process of any machine goes on counts as hung: stacks are written and all
    processes start again. Start-up, validation and checkpoints may take three times as long, and what has taken longer
    before may take four times that. 0 is never."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Of the first weights, the order of the data and all else that is drawn."""
