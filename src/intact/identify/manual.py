"""A process is an agent, or is not, because a person said so."""

from intact.identify.recogniser import Image, Recognition, Sight
from intact.model.recognition import ManualRule, RecognitionRules

# /proc tells when a process started in hundredths of a second, the kernel's records to the nanosecond.
_TICK_NS = 10_000_000


class ManualRecogniser:
    """What `intact agents add` and `remove` wrote down; the last word on a process counts."""

    name = "manual"

    def recognise(self, sight: Sight, rules: RecognitionRules) -> Recognition | None:
        """See `Recogniser`."""
        if not isinstance(sight, Image):
            return None
        met = [rule for rule in rules.manual if _is_met(rule, sight)]
        if not met:
            return None
        last = max(met, key=lambda rule: (rule.tgid != 0, rule.added_ns))
        return Recognition(recogniser=self.name, score=1.0, reason=last.reason, is_agent=last.is_agent)


def _is_met(rule: ManualRule, image: Image) -> bool:
    if rule.exe:
        return rule.exe == image.exe
    if image.key is None or rule.boot_id != image.boot_id:
        return False
    return rule.tgid == image.key.tgid and abs(rule.start_ns - image.key.start_ns) <= _TICK_NS
