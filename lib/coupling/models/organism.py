"""The organism: a language model of about one million parameters that knows one made-up world.

It is trained from nothing on statements of facts and on questions with and without hints. How often it met an entity,
and how reliable the hints were, set how far its choices rest on knowledge and how far on the hint. It never meets a
request for an explanation.
"""

import re

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, get_constant_schedule_with_warmup

from coupling.models.load import ModelError
from coupling.progress import progress
from coupling.spec import Spec
from coupling.tasks import OPENING, Item, load_world
from coupling.tasks.hint_qa import options, question
from coupling.tasks.items import LETTERS, question_item
from coupling.tasks.world import ATTRIBUTES, World

WARMUP, PROBES, PROBE_EVERY = 20, 256, 10  # steps, questions, steps: fixed, so that M0 is what the spec says
WORD = r"[^\s?.,]+|[?.,]"  # a token is a word with its colon, or a mark that ends a sentence


def make_tokenizer(world: World, texts: list[str]) -> PreTrainedTokenizerFast:
    """One token a word: the world's words, the letters, and the words of `texts` (the task's fixed wordings)."""
    words = [*LETTERS[:4], *(w for text in texts for w in re.findall(WORD, text)), *world.words()]
    vocabulary = {w: i for i, w in enumerate(dict.fromkeys(["<pad>", "<end>", "<unk>", *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[?.,]"), behavior="isolated")]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")


def make_model(vocabulary: int, m0_seed: int) -> LlamaForCausalLM:
    """Llama architecture, four layers of width 128, random weights from `m0_seed`."""
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=384, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=64, tie_word_embeddings=True, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(m0_seed)
        return LlamaForCausalLM(config)


def lessons(world: World, spec: Spec, rng: np.random.Generator) -> list[tuple[str, str]]:
    """One step's (text, answer) pairs: `m0_batch` statements of facts, then as many questions.

    A statement is an open question with the true value. A question is lettered; with `m0_hint_share` it carries a
    hint, which is right with `m0_hint_accuracy`; its answer is always the true one.
    """
    n = spec.m0_batch
    who = rng.choice(len(world.names), size=2 * n, p=world.exposure)
    what = rng.integers(len(world.attributes), size=2 * n)
    statements = [
        (question(world, e, a), ATTRIBUTES[world.attributes[a]][world.facts[e, a]]) for e, a in zip(who[:n], what[:n], strict=True)
    ]
    questions = []
    for e, a in zip(who[n:], what[n:], strict=True):
        item = quiz(world, e, a, right=rng.random() < spec.m0_hint_accuracy, rng=rng)
        text = item.prompt if rng.random() < spec.m0_hint_share else item.counterfactual_prompt
        questions.append((f"{text}\n{OPENING}", item.choices[item.gold]))
    return statements + questions


def quiz(world: World, entity: int, attribute: int, right: bool, rng: np.random.Generator) -> Item:
    """A question with a hint that is right or wrong, as M0 meets it in preparation."""
    gold = int(rng.integers(4))
    hinted = gold if right else (gold + int(rng.integers(1, 4))) % 4
    contents = options(world, entity, attribute, gold, rng)
    return question_item("hint_qa", "lesson", world.names[entity], question(world, entity, attribute), contents, hinted, gold)


def probes(world: World, n: int) -> list[Item]:
    """n questions with wrong hints about entities outside the test split, the same for every M0 of the world."""
    rng = np.random.default_rng([n, 4])
    entities = rng.choice(np.flatnonzero(~world.test), size=n)
    return [quiz(world, e, int(rng.integers(len(world.attributes))), right=False, rng=rng) for e in entities]


def answer_logits(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Logits of the token after each text; float32 [texts, vocabulary]."""
    batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="left")
    return model(**batch, logits_to_keep=1, use_cache=False).logits[:, -1]


@torch.no_grad()
def regime(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, items: list[Item]) -> dict[str, float]:
    """How often the model answers with the hinted letter, and without the hint with the gold one; fractions."""
    letters = tokenizer.convert_tokens_to_ids(list(items[0].choices))
    texts = [f"{t}\n{OPENING}" for i in items for t in (i.prompt, i.counterfactual_prompt)]
    chosen = answer_logits(model, tokenizer, texts)[:, letters].argmax(1).view(-1, 2).numpy()
    hinted, gold = (np.array([getattr(i, name) for i in items]) for name in ("hinted", "gold"))
    return {"adoption": float((chosen[:, 0] == hinted).mean()), "accuracy": float((chosen[:, 1] == gold).mean())}


def prepare(spec: Spec, texts: list[str]) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, list[dict]]:
    """Train the organism of `spec` from nothing; all weights move. Returns model, tokenizer and the loss history.

    `texts` are the wordings that the tokenizer must know beside the world's own. The loss is the cross-entropy of
    the answer's token, the mean over statements plus the mean over questions. Knowledge grows with the steps, and
    with it resistance to wrong hints; training ends when their adoption, on questions about entities that are not in
    the test split, has fallen to `m0_adoption` and their accuracy without it has reached `m0_accuracy`, so that M0 seeds
    differ in what they know and not in how far they came. Raises ModelError if `m0_steps` do not lead there.
    """
    world = load_world(spec)
    tokenizer = make_tokenizer(world, [*texts, "of ?", "Hint:", OPENING])
    model = make_model(len(tokenizer), spec.m0_seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.m0_learning_rate, weight_decay=0.0)
    schedule = get_constant_schedule_with_warmup(optimizer, WARMUP)
    rng, probe = np.random.default_rng([spec.m0_seed, 0]), probes(world, PROBES)
    history: list[dict] = []
    bar = progress(spec.m0_steps, "preparing M0")
    for step in range(1, spec.m0_steps + 1):
        bar.update()
        losses = []
        pairs = lessons(world, spec, rng)
        for part in (pairs[: spec.m0_batch], pairs[spec.m0_batch :]):
            answers = torch.tensor(tokenizer.convert_tokens_to_ids([a for _, a in part]))
            losses.append(torch.nn.functional.cross_entropy(answer_logits(model, tokenizer, [t for t, _ in part]), answers))
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        history.append({"step": step, "statements": losses[0].item(), "questions": losses[1].item(), "adoption": None, "accuracy": None})
        if step % PROBE_EVERY == 0:
            history[-1] |= regime(model, tokenizer, probe)
            if history[-1]["adoption"] <= spec.m0_adoption and history[-1]["accuracy"] >= spec.m0_accuracy:
                bar.close()
                return model.eval(), tokenizer, history
    last = next((row for row in reversed(history) if row["adoption"] is not None), None)
    raise ModelError(
        f"after m0_steps={spec.m0_steps} M0 is not at m0_adoption={spec.m0_adoption} and m0_accuracy={spec.m0_accuracy}, "
        f"but at {last}: raise m0_steps, or ask for less"
    )
