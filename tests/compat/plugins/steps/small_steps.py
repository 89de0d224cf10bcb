from aetherflow.core.api import Step, StepResult, list_connectors, list_steps, register_step, require


@register_step("takes_context_and_inputs")
class TakesContextAndInputs(Step):
    def run(self, ctx, inputs):
        return StepResult(status="SUCCESS", outputs={"echo": inputs["value"], "flow": ctx.flow_id})


@register_step("without_a_base")
class WithoutABase:
    def run(self):
        return {"id": self.id, "job": self.job_id, "dumps": require("json:dumps")(self.inputs)}


class Says(Step):
    def run(self):
        self.ctx.log.debug("details")
        self.ctx.log.warning("beware of %s", self.inputs["what"])
        try:
            raise ValueError("bad value")
        except ValueError:
            self.ctx.log.exception("went on")
        self.ctx.log.info("bad %s %s", 1)


register_step("says")(Says)


@register_step("gives_its_id_by_keyword")
class GivesItsIdByKeyword(Step):
    def __init__(self, id, inputs, ctx, job_id):
        super().__init__(id=id, inputs=inputs, ctx=ctx, job_id=job_id)

    def run(self):
        return {"id": self.id, "job": self.job_id, "inputs": self.inputs, "flow": self.ctx.flow_id}


@register_step("gives_its_step_id_by_keyword")
class GivesItsStepIdByKeyword(GivesItsIdByKeyword):
    def __init__(self, step_id, inputs, ctx, job_id):
        Step.__init__(self, step_id=step_id, inputs=inputs, ctx=ctx, job_id=job_id)


@register_step("reads_key_values")
class ReadsKeyValues(Step):
    def run(self):
        return {name: self.ctx.connectors[name].get("key") for name in self.inputs["resources"]}


@register_step("asks_a_new_connector")
class AsksANewConnector(Step):
    def run(self):
        new = self.ctx.connectors["new"]
        return {"waited": new.answer("x", twice=True), "plain": new.plain()}


@register_step("knows_the_types")
class KnowsTheTypes(Step):
    def run(self):
        return {
            "steps": [n for n in list_steps() if n in ("check_items", "says")],
            "connectors": [n for n in list_connectors() if n in ("db:sqlite3", "kv:legacy")],
            "layout": self.ctx.layout,
            "under_root": str(self.ctx.artifacts_dir(self.job_id).relative_to(self.ctx.settings.work_root)),
        }


@register_step("bad_status")
class BadStatus(Step):
    def run(self):
        return StepResult(status="DONE")
