"""What schemathesis is told beside the OpenAPI document; it imports this by SCHEMATHESIS_HOOKS."""

import itertools

import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import negative_data_rejection

KEY = "Idempotency-Key"
_numbers = itertools.count()


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Give each request a key of its own: one that comes again with something else is refused."""
    if case.headers.get(KEY):
        case.headers[KEY] = f"{case.headers[KEY]}-{next(_numbers)}"


@schemathesis.check
def what_fits_is_taken(_context, response, case):
    """JSON that the document allows; of other bodies it says only that they are text."""
    is_json = case.media_type in {"application/json", None}
    if is_json and case.meta and case.meta.generation.mode is GenerationMode.POSITIVE:
        assert response.status_code < 300, response.text


@schemathesis.check
def wrong_parameters_are_refused(context, response, case):
    """Of a body more is taken than the document promises, such as a number for a STRING."""
    body = case.meta and case.meta.components.get(ParameterLocation.BODY)
    if not body or body.mode is not GenerationMode.NEGATIVE:
        negative_data_rejection(context, response, case)
