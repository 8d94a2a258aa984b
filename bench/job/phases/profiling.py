"""The profile phase: measure the time of each part of a training step on synthetic images."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import torch
from torch.optim import optimizer as optimizers
from torch.profiler import ProfilerActivity, profile

import bench.augment
from bench.contract.jobs.files import REPORT, TRACE
from bench.contract.jobs.spec import JobSpec
from bench.contract.jobs.timings import PARTS, Operator, StepProfile
from bench.contract.submission import Budget
from bench.data.batches import BatchStream
from bench.files import write_bytes
from bench.job.channel import Channel
from bench.job.checks.counted_parameters import ParameterCounter
from bench.job.loading import load_submission
from bench.job.phases.training import start_training, train_one_step
from bench.job.steps.curves import CurveLog
from bench.job.steps.stopwatch import Stopwatch
from bench.measure.machine.environment import capture_environment
from bench.measure.speed.host_waits import WaitRecorder

TRAIN_IMAGES = 50_000
PROFILE_STEPS = 20  # steps timed as a whole, and as many timed by part
WARMUP_STEPS = 3
TRACED_STEPS = 3  # steps under torch.profiler
OPERATORS = 12  # operators in the report


class Profiler:
    """A profiled training; its methods take further steps of it."""

    def __init__(self, spec: JobSpec) -> None:
        self.spec, self.device = spec, torch.device(spec.device)
        self.watch = Stopwatch(self.device)
        # During loading, because the submission imports the functions from the module by name.
        with self._timed_augmentations():
            self.submission = load_submission(spec.folder, spec.protocol.task, spec.overrides)
        batch_size = self.submission.config.batch_size
        self.budget = Budget(steps=10**6, batch_size=batch_size, train_images=TRAIN_IMAGES)
        self.model = start_training(self.submission, spec, self.budget, self.device)
        shape, classes = spec.data.image_shape, spec.data.num_classes
        images = torch.randint(0, 256, (TRAIN_IMAGES, *shape), dtype=torch.uint8, device=self.device)
        labels = torch.randint(0, classes, (TRAIN_IMAGES,), device=self.device)
        self.batches = BatchStream(images, labels, batch_size=batch_size, seed=spec.seed)
        self.log, self.channel = CurveLog(self.budget.steps), Channel()
        self.step = 0

    def run(self) -> StepProfile:
        """Time steps as a whole, by part and by operator, and find host waits in one more step."""
        self._take(WARMUP_STEPS)
        undivided = median(self._seconds() for _ in range(PROFILE_STEPS))
        parts = self._parts()
        return StepProfile(
            batch_size=self.budget.batch_size,
            steps=PROFILE_STEPS,
            unwatched=1e3 * undivided,
            parts=parts,
            operators=self._operators(),
            waits=self._waits(),
            environment=capture_environment(self.spec.device, self.spec.machine),
        )

    def _take(self, steps: int) -> None:
        """Take ``steps`` training steps as the trainer does, without checkpoints."""
        for _ in range(steps):
            values = train_one_step(self.submission, self.batches, self.spec, self.step)
            self.log.add(self.step, values)
            self.channel.progress("profile", self.step + 1, self.budget.steps, self.log.last_loss)
            self.step += 1

    def _seconds(self) -> float:
        """Return the seconds that one step takes, including the GPU's work."""
        self._synchronize()
        started = time.perf_counter()
        self._take(1)
        self._synchronize()
        return time.perf_counter() - started

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _parts(self) -> dict[str, float]:
        """Return part -> median milliseconds per step."""
        times: dict[str, list[float]] = {part: [] for part in PARTS}
        with self._timed_parts():
            self.watch.running = True
            for _ in range(PROFILE_STEPS):
                self.watch.seconds.clear()
                with self.watch.part("harness"):
                    self._take(1)
                for part in PARTS:
                    times[part].append(self.watch.seconds[part])
            self.watch.running = False
        return {part: 1e3 * median(values) for part, values in times.items()}

    @contextmanager
    def _timed_augmentations(self) -> Iterator[None]:
        """Replace the functions of ``bench.augment`` by timed ones for the duration of the block."""
        with ExitStack() as stack:
            for name in bench.augment.__all__:
                timed = self.watch.wrap("augmentation", getattr(bench.augment, name))
                stack.enter_context(_replaced(bench.augment, name, timed))
            yield

    @contextmanager
    def _timed_parts(self) -> Iterator[None]:
        """Time the parts of a step for the duration of the block; other code of ``train_step`` is a part too."""
        watch, state = self.watch, ParameterCounter(self.submission, self.model)
        enter: Callable[[str], Callable[..., None]] = lambda part: lambda *_: watch.enter(part)  # noqa: E731
        leave: Callable[..., None] = lambda *_: watch.leave()  # noqa: E731
        backward = watch.wrap("backward", torch.autograd.backward)
        with (
            _replaced(self.batches, "batch", watch.wrap("data", self.batches.batch)),
            _replaced(
                self.submission, "train_step", watch.wrap("loss and other code", self.submission.train_step)
            ),
            _replaced(torch.autograd, "backward", backward),
        ):
            hooks = [
                optimizers.register_optimizer_step_pre_hook(enter("optimizer")),
                optimizers.register_optimizer_step_post_hook(leave),
            ]
            for module in state.modules.values():
                hooks.append(module.register_forward_pre_hook(enter("forward")))
                hooks.append(module.register_forward_hook(leave))
            try:
                yield
            finally:
                for hook in hooks:
                    hook.remove()

    def _operators(self) -> list[Operator]:
        """Write a trace of some steps; return the operators that take the most time."""
        activities = [ProfilerActivity.CPU]
        if self.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities, acc_events=True) as profiler:
            self._take(TRACED_STEPS)
        profiler.export_chrome_trace(str(self.spec.work / TRACE))
        on_gpu = self.device.type == "cuda"
        operators = [
            Operator(
                name=event.key,
                calls=event.count / TRACED_STEPS,
                milliseconds=(event.self_device_time_total if on_gpu else event.self_cpu_time_total)
                / 1e3
                / TRACED_STEPS,
            )
            for event in profiler.key_averages()
        ]
        return sorted(operators, key=lambda operator: -operator.milliseconds)[:OPERATORS]

    def _waits(self) -> list[str]:
        """Return the lines of the submission at which the host waits for the GPU."""
        with WaitRecorder([self.spec.folder], self.spec.device) as recorder:
            self._take(1)
        return list(dict.fromkeys(recorder.waits))


@contextmanager
def _replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute by ``value`` for the duration of the block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def profile_step(spec: JobSpec) -> None:
    """Run the profile phase and write its report."""
    report = Profiler(spec).run()
    write_bytes(spec.work / REPORT["profile"], report.model_dump_json(indent=1).encode())
