"""Attacks and failures: each is a change of the small valid submission, with the expected status and reason.

In the code of a change, ``{secret}`` is a file of the user that no submission may read, and ``{outside}`` is a
folder that everybody may write to.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """An attack or failure, and its expected result."""

    changes: dict[str, str]  # marker in the valid submission -> code that replaces it
    status: str  # status of the record; "refused" if the submission is not planned
    reason: str  # part of the record's reason, or of the reasons against ranking if the run finished
    needs_sandbox: bool = False  # detected only in the sandbox


# Parameters that are hidden from the count.
HIDDEN = {
    "in_a_buffer": Attack(
        {
            "network": 'self.register_buffer("hidden", torch.zeros(3000))',
            "forward": "logits = logits + self.hidden.mean()",
            "step": "self.model.hidden += 0.1",
        },
        "cap",
        "params, cap 2,000",
    ),
    "in_a_plain_attribute": Attack(
        {
            "network": "self.hidden = torch.zeros(4, requires_grad=True)",
            "forward": "logits = logits + self.hidden",
        },
        "contract",
        "model.hidden",
    ),
    "in_a_list_of_layers": Attack(
        {
            "network": "self.layers = [nn.Linear(4, 4)]",
            "forward": "logits = self.layers[0](logits)",
        },
        "contract",
        "hidden parameters",
    ),
    "in_the_optimizer": Attack(
        {"parameters": "parameters.append(torch.zeros(77, requires_grad=True))"},
        "contract",
        "trains a tensor of 77 scalars",
    ),
    "on_the_submission": Attack(
        {"init": "self.extra = torch.zeros(5, requires_grad=True)"}, "contract", "self.extra is a trainable tensor"
    ),
    "in_a_global": Attack(
        {
            "module": "HIDDEN = torch.randn(400, 4)",
            "forward": "logits = logits + HIDDEN.mean(0)",
        },
        "contract",
        "reads 1,600 scalars from external tensors",
    ),
    "in_a_closure": Attack(
        {
            "network": "table = torch.randn(100, 4)\nself.look_up = lambda: table.mean(0)",
            "forward": "logits = logits + self.look_up()",
        },
        "contract",
        "reads 400 scalars from external tensors",
    ),
    "in_a_default_argument": Attack(
        {
            "module": "def look_up(table=torch.randn(300)):\n    return table.mean()",
            "forward": "logits = logits + look_up()",
        },
        "contract",
        "reads 300 scalars",
    ),
    "in_a_large_table": Attack(
        {"network": 'self.register_buffer("table", torch.zeros(9000))'}, "cap", "9,023 in buffers"
    ),
    "in_the_source_text": Attack(
        {"module": f'TEXT = "{"0123456789" * 7000}"'}, "refused", "bytes, 65,536 are allowed"
    ),
    "in_a_file": Attack(
        {
            "module": "import os\nFILE = '{outside}/hidden.pt'",
            "step": "if step == 11: torch.save(torch.ones(4), FILE)",
            "predict": "logits = logits + torch.load(FILE) if os.path.exists(FILE) else logits",
        },
        "error",
        "Parent directory",
        needs_sandbox=True,
    ),
    "in_the_weights_file": Attack(
        {
            "init": "import atexit, sys\nif sys.argv[1:2] == ['train']:\n"
            "    atexit.register(lambda: open(sys.argv[2] + '/weights.safetensors', 'ab').write(bytes(64)))"
        },
        "contract",
        "changed after training reported its hash",
    ),
    "over_the_cap": Attack({"network": "self.wide = nn.Linear(50, 60)"}, "cap", "params, cap 2,000"),
}

# Access to data, processes or the network that a submission does not have.
READS = {
    "reads_a_file_of_the_user": Attack(
        {"init": "open('{secret}').read()"}, "error", "No such file", needs_sandbox=True
    ),
    "finds_the_data_by_its_variable": Attack(
        {"init": "import os; print(os.environ['BENCH_DATA'])"}, "error", "KeyError", needs_sandbox=True
    ),
    "asks_for_test_images_while_training": Attack(
        {
            "init": "import json, sys; spec = json.load(open(sys.argv[2] + '/spec.json'))\n"
            "if sys.argv[1] == 'train': open(spec['data']['evaluation_images']['path'])"
        },
        "error",
        "TypeError",
    ),
    "asks_for_train_labels_while_evaluated": Attack(
        {
            "predict": "import json, sys; spec = json.load(open(sys.argv[2] + '/spec.json'))\n"
            "if sys.argv[1] == 'evaluate': open(spec['data']['train_labels']['path'])"
        },
        "error",
        "TypeError",
    ),
    "downloads_weights": Attack(
        {"init": "import urllib.request; urllib.request.urlopen('http://192.0.2.1/', timeout=5)"},
        "error",
        "Error",
        needs_sandbox=True,
    ),
    "looks_for_its_parent": Attack(
        {
            "init": "import os\n"
            "others = [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()]\n"
            "lines = [open(f'/proc/{p}/cmdline', 'rb').read() for p in others]\n"
            "assert any(b'--track' in line for line in lines), 'no parent to be seen'"
        },
        "error",
        "no parent to be seen",
        needs_sandbox=True,
    ),
    "writes_beside_its_code": Attack(
        {"init": "open(__file__ + '.weights', 'w')"}, "error", "Read-only file system", needs_sandbox=True
    ),
}

# More steps than the budget, replaced functions, and false outputs.
PATCHES = {
    "steps_twice": Attack({"step": "self.optimizer.step()"}, "ok", "optimizer optimizer took 24 steps, budget 12"),
    "stops_the_clock": Attack(
        {"init": "import time; time.perf_counter = lambda: 0.0"}, "contract", "replaced time.perf_counter"
    ),
    "fixes_the_seed": Attack(
        {"init": "torch.manual_seed = lambda seed: None"}, "contract", "replaced torch.manual_seed"
    ),
    "replaces_a_function_of_torch": Attack(
        {"init": "F.cross_entropy = lambda *a, **k: torch.zeros((), requires_grad=True)"},
        "contract",
        "torch.nn.functional.cross_entropy",
    ),
    "patches_the_harness": Attack(
        {"init": "import sys; sys.modules['bench.job.phases.training'].train_one_step = None"},
        "contract",
        "bench.job.phases.training.train_one_step",
    ),
    "imports_the_harness": Attack(
        {"module": "import bench.job.phases.training"}, "refused", "no part of the interface of a submission"
    ),
    "looks_at_its_neighbours": Attack(
        {"predict": "return logits - logits.mean(0)"}, "contract", "depend on the other images in the batch"
    ),
    "predicts_at_random": Attack(
        {"network": "self.offset = torch.randn(4)", "forward": "logits = logits + self.offset"},
        "contract",
        "gives other outputs than the trained network",
    ),
    "gives_weights_of_another_network": Attack(
        {"final": "return {'other.weight': torch.ones(3)}"}, "contract", "do not fit build_model"
    ),
    "gives_something_else_than_tensors": Attack(
        {"final": "return {'a': 'weights'}"}, "contract", "is a str, not a tensor"
    ),
}

# Crashes, hangs and exhausted resources.
CRASHES = {
    "raises": Attack(
        {"loss": 'if step == 7: raise KeyError("my mistake")'}, "error", "my mistake' (model.py, line"
    ),
    "exits": Attack({"loss": "if step == 7: raise SystemExit(0)"}, "error", "SystemExit"),
    "exits_at_once": Attack(
        {"loss": "import os\nif step == 7: os._exit(0)"}, "error", "exited with 0 and left no report"
    ),
    "is_killed": Attack({"loss": "import os\nif step == 7: os.kill(os.getpid(), 9)"}, "signal", "SIGKILL"),
    "breaks_its_memory": Attack({"loss": "import ctypes\nif step == 7: ctypes.string_at(0)"}, "signal", "SIGSEGV"),
    "hangs": Attack(
        {"loss": "import time\nif step == 7 and self.schedule.total_steps == 12: time.sleep(3600)"},
        "timeout",
        "took over",
    ),
    "ignores_being_asked_to_end": Attack(
        {
            "loss": "import signal, time\nif step == 7 and self.schedule.total_steps == 12:\n"
            "    signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
        },
        "timeout",
        "took over",
    ),
    "asks_for_all_memory": Attack({"loss": "if step == 7: self.much = torch.ones(10**12)"}, "oom", "memory"),
    "leaks_memory": Attack(
        {"loss": "if step == 7:\n    self.leak = []\n    while True: self.leak.append(bytearray(2**24))"},
        "oom",
        "memory",
    ),
    "fills_the_disk": Attack(
        {
            "loss": "import sys\nif step == 7:\n"
            "    with open(sys.argv[2] + '/much', 'wb') as file: file.truncate(2**40)"
        },
        "error",
        "File too large",
    ),
    "starts_too_many_processes": Attack(
        {
            "loss": "import os, time\nif step == 7:\n    for _ in range(3000):\n"
            "        if os.fork() == 0: time.sleep(60); os._exit(0)\n    time.sleep(60)"
        },
        "limit",
        "processes while in phase",
    ),
    "leaves_a_daemon": Attack(
        {
            "loss": "import os, time\nif step == 7 and os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
            "        os.execvp('sleep', ['{outside}', '987654'])\n    os._exit(0)"
        },
        "ok",
        "",
    ),
    "is_not_a_number": Attack({"loss": "if step == 9: loss = loss * float('nan')"}, "nan", "`loss` is nan"),
}

ALL = {**HIDDEN, **READS, **PATCHES, **CRASHES}
