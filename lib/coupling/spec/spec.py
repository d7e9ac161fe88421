"""One run of the study as a single frozen specification, joined from its sections."""

from typing import Self

from pydantic import ValidationError, model_validator

from coupling.errors import suggest
from coupling.spec.circuits import CircuitsSection
from coupling.spec.evaluation import EvaluationSection
from coupling.spec.items import ItemsSection
from coupling.spec.labels import LabelsSection
from coupling.spec.m0 import ORGANISMS, M0Section
from coupling.spec.phase import Phase, phases_of
from coupling.spec.section import Section, SpecError, complaint, field
from coupling.spec.shift import ShiftSection
from coupling.spec.training import TrainingSection
from coupling.spec.world import WorldSection
from coupling.tasks import Task, task_names, task_of

SECTIONS: dict[str, type[Section]] = {
    "world": WorldSection,
    "m0": M0Section,
    "items": ItemsSection,
    "labels": LabelsSection,
    "training": TrainingSection,
    "shift": ShiftSection,
    "evaluation": EvaluationSection,
    "circuits": CircuitsSection,
}


class ProfileField(Section):
    """The one field that belongs to no section."""

    profile: str = field(
        "none", "tiny", "profile that gives the values of all other fields, and names the results folder"
    )


class Spec(  # pydantic lists the fields of the last base class first
    CircuitsSection,
    EvaluationSection,
    ShiftSection,
    TrainingSection,
    LabelsSection,
    ItemsSection,
    M0Section,
    WorldSection,
    ProfileField,
):
    """One run: the items, the base model M0, explanation training and its evaluation.

    `make_spec` builds a specification from a profile and turns every mistake into a `SpecError`. The checks
    below need the fields of several sections. Each section checks its own fields.
    """

    @model_validator(mode="after")
    def check_tasks(self) -> Self:
        """Check that M0 can be asked these tasks, and that their items have the kinds that are held out."""
        tasks = self._known_tasks()
        read = [source for task in tasks.values() if (source := task.source(self))]
        if read and self.model in ORGANISMS:
            raise ValueError(
                f"task={self.task}: model={self.model} knows its made-up world alone, not {', '.join(read)}; "
                "take a profile with a real model"
            )
        without = [name for name, task in tasks.items() if not task.has_kinds(self)]
        if self.held_out and without:
            raise ValueError(
                f"held_out={self.held_out}: items of {', '.join(without)} have no kinds; give held_out=0, "
                "or attributes of at least 2 where the task asks for attributes of the made-up world"
            )
        return self

    @model_validator(mode="after")
    def check_kl_kinds(self) -> Self:
        """Check that a KL term that reads kinds without labels has such kinds, and a weight."""
        if self.kl_kinds == "all" and not (self.held_out and self.kl_weight):
            raise ValueError(
                f"kl_kinds=all: held_out={self.held_out} and kl_weight={self.kl_weight}; the KL term reads "
                "kinds without labels only where both are above 0; raise them, or leave kl_kinds out"
            )
        return self

    @model_validator(mode="after")
    def check_variants_of_a_shift(self) -> Self:
        """Check that tasks and model allow what a shift reaches, and what the KL term then holds."""
        tasks = self._known_tasks()
        without = [name for name, task in tasks.items() if not task.has_kinds(self)]
        if self.shift_reach == "half" and without:
            raise ValueError(
                f"shift_reach=half: items of {', '.join(without)} have no kinds; leave shift_reach out, or "
                "give attributes of at least 2 where the task asks for attributes of the made-up world"
            )
        if self.shift_reach == "entities":
            self._check_facts("shift_reach=entities")
        replying = [name for name, task in tasks.items() if task.declines]
        if self.kl_to == "shifted" and (replying or not self.kl_weight):
            raise ValueError(
                f"kl_to=shifted with task={self.task}, kl_weight={self.kl_weight}: the KL term holds choices "
                "alone to another model, and needs a weight; take a task whose answers are choices"
            )
        if self.shift_adapter == "own" and self.explainer >= 0:
            raise ValueError(
                f"shift_adapter=own with explainer={self.explainer}: a run of two adapters is no M0; "
                "leave one of the two out"
            )
        return self

    def _check_facts(self, what: str) -> None:
        """Check that facts of the made-up world are asked for, of an organism."""
        fixed = not all(task.facts_can_change for task in self._known_tasks().values())
        if self.model not in ORGANISMS or fixed:
            possible = ", ".join(name for name in task_names() if task_of(name).facts_can_change)
            raise ValueError(
                f"{what} with task={self.task}, model={self.model}: facts and entities of the made-up world "
                f"are taught to an organism and on {possible} alone"
            )

    @model_validator(mode="after")
    def check_objectives(self) -> Self:
        """Check that training has an objective, and at most one that changes behaviour."""
        if self.teach in self.tasks:
            raise ValueError(f"teach={self.teach}: its explanations would be trained too; take another task")
        if not self.explanation_weight and not self.teach and self.shift == "none":
            raise ValueError("explanation_weight=0 trains nothing: name a behaviour to teach, or a shift")
        if self.shift != "none" and self.teach:
            raise ValueError(f"shift={self.shift} and teach={self.teach}: one behaviour at a time")
        if self.shift == "reteach":
            self._check_facts("shift=reteach")
        return self

    @model_validator(mode="after")
    def check_evaluations(self) -> Self:
        """Check that there is a step for every evaluation."""
        if self.evaluations > self.steps:
            raise ValueError(f"evaluations={self.evaluations} are more than steps={self.steps}; give fewer")
        return self

    def _known_tasks(self) -> dict[str, Task]:
        """Return the tasks by name, without unknown names, which `make_spec` reports with a hint."""
        known = self.tasks if self.items_file is not None else task_names()
        return {name: task_of(name) for name in self.tasks if name in known}

    @property
    def label_source(self) -> "Spec":
        """The specification whose M0 is the label source S, on the same items.

        It is this specification with the M0 fields that `source` names, or this specification itself without
        `source`.

        Raises:
            SpecError: If `source` names no field of M0, or a value that the field cannot have.
        """
        if not self.source:
            return self
        known = [name for name in fields_of("m0") if name not in WorldSection.model_fields]
        values = {}
        for part in self.source.split(","):
            name, sign, text = part.partition("=")
            if not sign or name not in known:
                raise SpecError(
                    f"source={self.source!r}: {part!r} is no field=value of an M0; {suggest(name, known)}"
                )
            values[name] = text
        own_labels = {"source": "", "source_share": 1.0}
        try:
            return Spec(**(self.model_dump() | own_labels | values))
        except ValidationError as error:
            raise SpecError(f"source={self.source!r}: {complaint(error)}") from None

    @property
    def explained(self) -> "Spec":
        """The finished run whose trained model is this run's M0, where `explainer` gives its seed.

        That run differs from this one in its seed, and it was trained on labels of its own M0.
        """
        return self.model_copy(
            update={"explainer": -1, "seed": self.explainer, "source": "", "source_share": 1.0}
        )

    @property
    def shifted_alone(self) -> "Spec":
        """The run that has this run's shift and nothing else: no explanations, and no KL term."""
        alone = {"explanation_weight": 0.0, "kl_weight": 0.0, "kl_kinds": "labelled", "kl_to": "m0"}
        return self.model_copy(update=alone | {"relabel": False})

    @property
    def phases(self) -> list[Phase]:
        """The phases of training in order: one, or explanation training and a shift apart."""
        return phases_of(self)

    @property
    def final_step(self) -> int:
        """The number of steps of all phases together."""
        return self.steps + self.shift_steps

    @property
    def evaluation_steps(self) -> list[int]:
        """The steps at which the current model is evaluated, counted over all phases.

        Step 0 and the last step of every phase are among them.
        """
        steps = {0}
        for phase in self.phases:
            for number in range(1, self.evaluations + 1):
                steps.add(phase.start + round(number * phase.spec.steps / self.evaluations))
        return sorted(steps)


def fields_of(*stages: str) -> list[str]:
    """Return the names of the fields that belong to the stages, in the order of the sections."""
    return [
        name for name, declared in Spec.model_fields.items() if declared.json_schema_extra["stage"] in stages
    ]
