"""The questions that the study answers, in the order of docs/results.md, and the figures that answer them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A figure of a sweep that answers a part of a question.

    Attributes:
        sweep: Name of the sweep.
        figure: Name of the figure.
        profile: Name of the profile.
        conditions: The conditions of the sweep that the question is about. None: all.
    """

    sweep: str
    figure: str
    profile: str = "tiny"
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question.

    Attributes:
        title: The question.
        parts: The figures that answer it. A part without tables is left out, and so is a question without any
            part.
        claims: The numbers of the claims that it is about; "own" for those of this study.
        figure: A figure of the whole study that stands at the head of the answer, where it has been drawn.
    """

    title: str
    parts: tuple[Part, ...]
    claims: tuple[str, ...] = ()
    figure: str = ""


QUESTIONS = (
    Question(
        "Does an explanation state its own model's behaviour?",
        (
            Part("confirm", "headline", conditions=("KL on",)),
            Part("headline", "headline", conditions=("KL on",)),
            Part("teacher_matrix", "teacher_matrix"),
        ),
        ("1",),
        "divergent",
    ),
    Question(
        "Does it need the KL term?",
        (
            Part("confirm", "headline"),
            Part("confirm_kl", "curve"),
            Part("headline", "headline"),
            Part("kl_weight", "curve"),
        ),
        ("2",),
    ),
    Question(
        "Must labels agree with the model?",
        (
            Part("confirm_agreement", "curve"),
            Part("confirm_disagreement", "curve"),
            Part("confirm_labels", "headline"),
            Part("agreement", "curve"),
            Part("agreement_tasks", "curve"),
            Part("sources", "curve"),
        ),
        ("3", "4"),
    ),
    Question(
        "Do explanations follow a shift of behaviour?",
        (
            Part("confirm_shift", "following"),
            Part("shift", "tracking"),
            Part("shift", "directions"),
        ),
        ("5",),
    ),
    Question("Does it matter when behaviour shifts?", (Part("shift", "order"),), ("own",)),
    Question("Are facts that are taught anew explained?", (Part("shift", "reteaching"),), ("own",)),
    Question("Can behaviour be read off explanations?", (Part("shift", "sensor"),), ("own",)),
    Question(
        "Do explanations reach where labels do not?",
        (
            Part("confirm_regions", "held_out"),
            Part("held_out", "held_out"),
            Part("new_behaviour", "new_behaviour"),
        ),
        ("9",),
    ),
    Question(
        "What moves it: rank, learning rate, noise, data?",
        (
            Part("confirm_rank", "headline"),
            Part("confirm_rate", "curve"),
            Part("confirm_items", "curve"),
            Part("rank", "curve"),
            Part("learning_rate", "curve"),
            Part("label_noise", "curve"),
            Part("data_size", "curve"),
        ),
        ("6", "7", "8"),
    ),
    Question("Does it matter how much the model knows?", (Part("depth", "depth"),), ("11", "own")),
    Question(
        "What else could make a gap?",
        (
            Part("confirm_controls", "headline"),
            Part("controls", "headline"),
            Part("content", "headline"),
        ),
        ("1", "own"),
    ),
    Question(
        "Who moves: behaviour or explanation?",
        (Part("confirm", "dynamics"), Part("confirm_dynamics", "dynamics")),
        ("own",),
    ),
    Question(
        "Do behaviour and explanation share circuits?",
        (Part("circuits", "circuits"), Part("circuits", "interventions")),
        ("10",),
    ),
    Question("Does coupling grow with the size of the model?", (Part("size", "size", "small"),), ("own",)),
    Question("Does one explainer do for three tasks?", (Part("joint", "headline"),)),
    Question("At which setting does confirmation run?", (Part("regime", "regime"),)),
    Question(
        "What does a real model show?",
        (
            Part("headline", "headline", "medium"),
            Part("content", "headline", "medium"),
            Part("content_again", "headline", "medium"),
            Part("controls", "headline", "medium"),
            Part("sources", "curve", "medium"),
            Part("shift", "tracking", "medium"),
            Part("learning_rate", "curve", "medium"),
        ),
        ("1", "2", "3", "4", "5", "8"),
        "scale",
    ),
)
