"""What differs on a GPU: the attention kernel, where tensors lie, precision of weights, memory, and seeds."""

import pytest
import torch
from coupling import runs
from coupling.bench import attention
from coupling.measure.evaluation import evaluate
from coupling.models import Loaded, adapted, load_from, pack, packed_logits, prefix_tree
from coupling.models.memory import MemoryCeiling, memory_ceiling
from coupling.training.checkpoints import trainable
from made_models import ARCHITECTURES, build

pytestmark = pytest.mark.gpu
BRANCHES = [[5, 6, 7, 8, 9], [5, 6, 7, 10], [5, 6, 11, 12, 13], [14, 5, 6]]


@pytest.fixture
def gpu():
    return torch.device("cuda", torch.cuda.current_device())


def test_flex_attention_gives_the_outputs_and_gradients_of_exact_attention(gpu):
    rows = attention.errors(gpu)
    assert len(rows) == 16
    assert all(r["within"] for r in rows), rows


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_packed_logits_are_those_of_each_sequence_alone(name, m0, gpu):
    loaded = build(name, m0.tokenizer)
    loaded.model.to(gpu)
    tree = prefix_tree(BRANCHES)
    last = torch.tensor([path[-1] for path in tree.paths], device=gpu)
    packed = packed_logits(loaded, pack([tree], gpu), last)
    alone = [loaded.model(input_ids=torch.tensor([b], device=gpu)).logits[0, -1] for b in BRANCHES]
    assert torch.allclose(packed, torch.stack(alone), atol=1e-4)


def test_rows_of_many_lengths_share_their_compiled_kernels(m0, gpu):
    m0.model.to(gpu)

    def compiled_for(lengths):
        for n in lengths:
            tree = prefix_tree([[5 + k % 20 for k in range(n)], [5, 7]])
            packed_logits(m0, pack([tree] * 3, gpu), torch.tensor([0], device=gpu))
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]

    assert compiled_for([40, 60, 90]) == compiled_for([50, 70, 75, 81])


def test_weights_are_in_bfloat16_and_the_adapter_in_float32(spec, m0, tmp_path):
    for part in (m0.model, m0.tokenizer):
        part.save_pretrained(tmp_path)
    loaded = load_from(tmp_path, "bfloat16")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    with adapted(loaded, spec) as tuned:
        assert {p.dtype for _, p in trainable(tuned.model)} == {torch.float32}
        assert {p.device.type for p in tuned.model.parameters()} == {"cuda"}


def test_an_adapter_starts_with_the_same_weights_as_on_a_cpu(spec, m0, gpu):
    def first_weights():
        with adapted(m0, spec) as tuned:
            return {name: p.detach().cpu().clone() for name, p in trainable(tuned.model)}

    on_cpu = first_weights()
    m0.model.to(gpu)
    on_gpu = first_weights()
    assert on_cpu.keys() == on_gpu.keys()
    assert all(torch.equal(on_cpu[name], on_gpu[name]) for name in on_cpu)
    assert m0.device.type == "cuda"


def test_behaviours_and_explanations_are_those_of_a_cpu(m0, items, gpu):
    there = Loaded(m0.model, m0.tokenizer, torch.float32)
    on_cpu = evaluate(m0, items[1], "letter", 8)
    there.model.to(gpu)
    on_gpu = evaluate(there, items[1], "letter", 8)
    for condition in ("x", "cf"):
        assert (on_cpu[0].choice(condition) == on_gpu[0].choice(condition)).mean() > 0.9
    assert abs(on_cpu[0].x - on_gpu[0].x).max() < 1e-2


def test_a_run_names_its_device_and_comes_out_the_same_twice(spec):
    first = runs.explain(spec)
    about = first.manifest["model"]
    assert (about["device"].split(":")[0], about["dtype"]) == ("cuda", "float32")
    assert about["gpu"]
    rows = first.table("rows")
    again = runs.explain(spec, force=True).table("rows")
    assert (rows[["x", "cf", "answer"]] == again[["x", "cf", "answer"]]).all(axis=1).mean() > 0.95
    assert first.manifest["peak_memory_gb"] < spec.memory_gb


def test_the_ceiling_refuses_what_goes_beyond_it(gpu):
    with pytest.raises(MemoryCeiling, match=r"memory_gb=0\.5"), memory_ceiling(0.5):
        torch.empty(10**9, device=gpu)
    with memory_ceiling(40):
        torch.empty(10**8, device=gpu)
