"""Products of bfloat16 matrices on CPUs that have no instruction for them."""

import pytest
import torch
from coupling.measure.behaviours import behaviours
from coupling.measure.explanations import labels
from coupling.models import adapted, halves
from coupling.models.halves import FEW, PRODUCTS, fast_products
from coupling.training.checkpoints import trainable
from coupling.training.data import training_set
from coupling.training.loop import add_gradients


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(halves, "multiplies_halves", lambda: False)


class Seen(torch.utils._python_dispatch.TorchDispatchMode):
    """Records the dtypes of the products that come out of the modes within this one."""

    def __init__(self):
        super().__init__()
        self.dtypes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in PRODUCTS and min(*args[-2].shape[-2:], args[-1].shape[-1]) >= FEW:
            self.dtypes.append(args[-1].dtype)
        return func(*args, **kwargs or {})


def test_a_product_is_the_same_up_to_the_order_of_its_sum(without):
    g = torch.Generator().manual_seed(0)
    a, b, c = (torch.randn(*s, generator=g).bfloat16() for s in ((40, 300), (300, 50), (40, 50)))
    within = c.clone()
    ways = [
        lambda: a @ b,
        lambda: torch.nn.functional.linear(a[None], b.T.contiguous(), c[0]),
        lambda: c.clone().addmm_(a, b, alpha=0.5),
        lambda: torch.bmm(a[None], b[None]),
        lambda: torch.addmm(c, a, b, beta=2.0),
    ]
    plain = [way() for way in ways]
    with Seen() as seen, fast_products(a.device):
        fast = [way() for way in ways]
        within.addmm_(a, b, alpha=0.5)
    assert seen.dtypes == [torch.float32] * 6
    assert torch.equal(within, fast[2])
    for p, f in zip(plain, fast, strict=True):
        assert f.dtype == torch.bfloat16
        assert (p != f).float().mean() < 0.05
        assert torch.allclose(p.float(), f.float(), rtol=2**-7, atol=1e-3)


def test_arguments_of_any_layout_and_size_give_the_same(without, monkeypatch):
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(40, 64, generator=g).bfloat16(), torch.randn(64, 96, generator=g).bfloat16()
    turned = a.T.contiguous().T, b.T.contiguous().T
    layouts = [(a, b), (turned[0], b), (a, turned[1]), turned, (a[::2], b[:, ::3]), (a[:1].expand(40, 64), b)]
    for room in (halves.ROOM, 1000):
        monkeypatch.setattr(halves, "ROOM", room)
        halves.scratch.cache_clear()
        with fast_products(a.device):
            found = [x @ y for x, y in layouts]
        for (x, y), out in zip(layouts, found, strict=True):
            assert torch.equal(out, (x.float() @ y.float()).bfloat16())
    halves.scratch.cache_clear()


def test_what_is_small_or_of_other_precision_is_left_alone(without):
    few, many = torch.randn(FEW - 1, 64), torch.randn(64, 64)
    with Seen() as seen, fast_products(many.device):
        assert torch.equal(few.bfloat16() @ many.bfloat16(), (few.bfloat16() @ many.bfloat16()))
        many @ many
        many.double() @ many.double()
    assert seen.dtypes == [torch.float32, torch.float64]


def test_without_onednn_the_cpu_is_taken_for_one_that_cannot(monkeypatch):
    assert isinstance(halves.multiplies_halves(), bool)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not halves.multiplies_halves.__wrapped__()


def test_all_products_of_training_forward_and_backward_are_fast_ones(monkeypatch, spec, m0, items):
    b0 = behaviours(m0, items[0], 8)
    data = training_set(m0, items[0], b0, labels(items[0], b0, "letter"), {})
    m0.dtype, gradients = torch.bfloat16, []
    for has in (True, False):
        monkeypatch.setattr(halves, "multiplies_halves", lambda has=has: has)
        with adapted(m0, spec) as tuned:
            with torch.no_grad():
                for _, p in trainable(tuned.model):
                    p.add_(0.1)
            with Seen() as seen:
                add_gradients(spec, tuned, data, range(8), [slice(0, 8)])
            assert seen.dtypes
            assert (torch.bfloat16 in seen.dtypes) == has
            gradients.append(torch.cat([p.grad.flatten() for _, p in trainable(tuned.model)]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999
