"""A process that asked a model, in words that were understood, is an agent."""

from intact.identify.recogniser import Recognition, Sight, Understood
from intact.model.recognition import RecognitionRules


class WireApiRecogniser:
    """The surest evidence: the body of the call was read."""

    name = "wire_api"

    def recognise(self, sight: Sight, rules: RecognitionRules) -> Recognition | None:
        """See `Recogniser`."""
        del rules
        if not isinstance(sight, Understood):
            return None
        return Recognition(
            recogniser=self.name, score=1.0, reason=f"speaks {sight.wire_api} to {sight.host or 'a model'}"
        )
