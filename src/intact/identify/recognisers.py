"""The kinds of evidence that make a process an agent."""

from intact.identify.endpoint import EndpointRecogniser
from intact.identify.manual import ManualRecogniser
from intact.identify.process_matcher import ProcessRecogniser
from intact.identify.recogniser import Recogniser
from intact.identify.wire_api import WireApiRecogniser

# To add one: one file, one line here. Of several that recognise, the highest score is told; of equals the first.
RECOGNISERS: tuple[Recogniser, ...] = (
    ManualRecogniser(),
    WireApiRecogniser(),
    EndpointRecogniser(),
    ProcessRecogniser(),
)
