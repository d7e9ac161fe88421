"""Checkpoints: what is written comes back, and a broken write leaves the older one."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from coupling.models import adapted
from coupling.training import checkpoints
from coupling.training.checkpoints import leaving_later, load_checkpoint, save_checkpoint, trainable
from made_models import stir


def stepped(tuned, steps):
    """An optimiser that has taken some steps on made-up gradients."""
    optimizer = torch.optim.AdamW([p for _, p in trainable(tuned.model)], lr=0.1)
    for _ in range(steps):
        for _, p in trainable(tuned.model):
            p.grad = torch.ones_like(p)
        optimizer.step()
    return optimizer


def test_weights_optimiser_history_and_generator_come_back(spec, m0, tmp_path):
    rng = np.random.default_rng(3)
    with adapted(m0, spec) as tuned:
        stir(tuned)
        optimizer = stepped(tuned, 2)
        save_checkpoint(
            tmp_path, tuned.model, optimizer, 2, [{"step": 1}, {"step": 2}], rng.bit_generator.state
        )
        want = [p.clone() for _, p in trainable(tuned.model)]
        state = optimizer.state_dict()["state"]
    with adapted(m0, spec) as tuned:
        fresh = stepped(tuned, 0)
        step, history, drawn = load_checkpoint(tmp_path, tuned.model, fresh)
        assert all(torch.equal(a, p) for a, (_, p) in zip(want, trainable(tuned.model), strict=True))
        for a, b in zip(state.values(), fresh.state_dict()["state"].values(), strict=True):
            assert all(torch.equal(a[k], b[k]) for k in ("step", "exp_avg", "exp_avg_sq"))
    assert (step, history) == (2, [{"step": 1}, {"step": 2}])
    again = np.random.default_rng(9)
    again.bit_generator.state = drawn
    assert again.random() == rng.random()


def test_a_parameter_that_no_step_reached_shifts_no_state(tmp_path):
    def model():
        return torch.nn.ModuleDict({name: torch.nn.Linear(2, 2) for name in ("a", "unused", "z")})

    one, other = model(), model()
    optimizers = [torch.optim.AdamW(of.parameters(), lr=0.1) for of in (one, other)]
    for k, name in enumerate(("a", "z")):
        for p in one[name].parameters():
            p.grad = torch.full_like(p, k + 1.0)
    optimizers[0].step()
    save_checkpoint(tmp_path, one, optimizers[0], 1, [])
    load_checkpoint(tmp_path, other, optimizers[1])
    states = [
        [of.state.get(p, {}) for p in m.parameters()] for of, m in zip(optimizers, (one, other), strict=True)
    ]
    for before, after in zip(*states, strict=True):
        assert before.keys() == after.keys()
        assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_end_of_a_step_and_is_then_as_it_was(number):
    done = []

    def leave(*_):
        raise KeyboardInterrupt

    def steps():
        with leaving_later() as asked:
            assert not asked()
            os.kill(os.getpid(), number)
            assert asked()
            done.append("a checkpoint")
        done.append("another step")

    before = signal.signal(number, leave)
    try:
        with pytest.raises(KeyboardInterrupt):
            steps()
        assert signal.getsignal(number) is leave
    finally:
        signal.signal(number, before)
    assert done == ["a checkpoint"]
    with ThreadPoolExecutor() as pool:  # signals are not for other threads

        def elsewhere():
            with leaving_later() as asked:
                return asked()

        assert pool.submit(elsewhere).result() is False


def test_without_a_checkpoint_nothing_is_read(spec, m0, tmp_path):
    with adapted(m0, spec) as tuned:
        assert load_checkpoint(tmp_path, tuned.model, stepped(tuned, 0)) == (0, [], None)


def test_a_write_that_breaks_off_leaves_the_older_checkpoint(spec, m0, tmp_path, monkeypatch):
    def broken(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with adapted(m0, spec) as tuned:
        optimizer = stepped(tuned, 1)
        save_checkpoint(tmp_path, tuned.model, optimizer, 1, [{"step": 1}])
        monkeypatch.setattr(checkpoints, "save_file", broken)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, tuned.model, optimizer, 2, [{"step": 1}, {"step": 2}])
        assert load_checkpoint(tmp_path, tuned.model, optimizer)[:2] == (1, [{"step": 1}])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".checkpoint.safetensors.seal",
        "checkpoint.safetensors",
    ]
