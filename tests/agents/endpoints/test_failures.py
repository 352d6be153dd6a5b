"""The table of docs/how-to/endpoints.md, row by row."""

import json
from typing import Any

import httpx2
import openai
import pytest

from openmic.agents.endpoints.body import ErrorInReplyError, read_body
from openmic.agents.endpoints.failures import Failure, Kind, read_failure
from openmic.core.endpoints.secrets import keep_secret

OPENAI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
URL = "http://a/v1/chat/completions"


def refused(status: int, body: Any, **headers: str) -> Failure:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    response = httpx2.Response(status, content=content, headers=named, request=httpx2.Request("POST", URL))
    inner = body.get("error", body) if isinstance(body, dict) else body
    return read_failure(openai.APIStatusError(f"Error code: {status} - {body}", response=response, body=inner))


def told(message: str, code: Any = None, kind: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": kind, **more}}


SHUTS: list[tuple[int, Any]] = [
    (400, told("The provided model identifier is invalid.", "ValidationException")),
    (400, told("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "400", "budget_exceeded")),
    (429, told("Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", "429", "budget_exceeded")),
    (429, {"error": "Your team has either used all available credits or reached its monthly spending limit."}),
    (429, told("余额不足或无可用资源包,请充值。", "1113")),
    (400, told("模型不存在,请检查模型代码。", "1211")),
    (412, told("Account x is suspended, possibly due to failure to pay past invoices.", "PRECONDITION_FAILED")),
    (403, told("Your account has been suspended for violating our usage policies")),
    (400, {"error": "No models loaded. Please load a model in the developer page."}),
    (400, told("User location is not supported for the API use.", None, None, status="FAILED_PRECONDITION")),
    (400, told("This organization has been disabled.")),
    (400, told("You have reached your specified API usage limits.")),
    (401, told("Incorrect API key provided", "invalid_api_key")),
    (402, told("Insufficient credits")),
    (402, {"detail": "Payment required"}),
    (403, told("This account is suspended for half a minute")),
    (403, "<html>Forbidden</html>"),
    (404, told("The model `m` does not exist or you do not have access to it.", "model_not_found")),
    (404, told("DeploymentNotFound", "DeploymentNotFound")),
    (404, {"error": 'model "m" not found, try pulling it first'}),
    (405, {"detail": "Method Not Allowed"}),
    (410, told("This model was shut down")),
    (429, told(OPENAI_QUOTA, "insufficient_quota", "insufficient_quota")),
    (429, told(OPENAI_QUOTA)),
    (429, told("The quota of this account is used up.", "insufficient_quota", "insufficient_quota")),
    (400, told("Your credit balance is too low to access the API.", None, "invalid_request_error")),
    (400, told("API key not valid. Please pass a valid API key.", 400, None, status="INVALID_ARGUMENT")),
    (400, told("The model `m` has been decommissioned and is no longer supported.", "model_decommissioned")),
    (500, told("billing", "insufficient_quota")),
    (307, ""),
]
ITEMS: list[tuple[int, Any]] = [
    (403, {"code": "permission", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}),
    (404, told("No endpoints found that can handle the requested parameters.", 404)),
    (400, told("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301")),
    (400, told("The prompt was filtered by the content policy.", "content_filter", param="prompt")),
    (400, told("triggering Azure OpenAI's content management policy", "content_filter", innererror={"code": "x"})),
    (400, told("Input data may contain inappropriate content.", "data_inspection_failed")),
    (403, told("Your chosen model requires moderation and your input was flagged", 403)),
    (400, told("This model's maximum context length is 8192 tokens", "context_length_exceeded")),
    (429, told("Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000", "rate_limit_exceeded")),
    (413, told("Request too large for model: tokens per minute (TPM): Limit 6000, Requested 9000")),
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]}),
    (400, "what?"),
    (451, "unavailable for legal reasons"),
]
PASSES: list[tuple[int, Any]] = [
    (424, {"message": "The model errored"}),
    *((status, "") for status in (420, 444, 449)),
    (400, {"error": "The model has crashed without additional information. (Exit code: 6)"}),
    (400, {"detail": "upstream connect error or disconnect/reset before headers"}),
    (400, told("Provider returned error", 400, metadata={"raw": '{"error": "Internal error, try again later"}'})),
    (408, told("Request timed out")),
    (409, told("Conflict")),
    (425, ""),
    (429, told("Rate limit reached")),
    (
        429,
        told("Rate limit reached. More at https://a/settings/billing", "rate_limit_exceeded", "tokens"),
    ),
    (429, told(f"{OPENAI_QUOTA} Please retry in 24.5s.", 429, None, status="RESOURCE_EXHAUSTED")),
    (500, "oops"),
    (503, "<html>overloaded</html>"),
    (503, told("Loading model", 503, "unavailable_error")),
    (529, told("Overloaded", None, "overloaded_error")),
    (520, ""),
    (403, told("You have exceeded a secondary rate limit")),
    (400, told("slow down", "rate_limit_exceeded")),
]


@pytest.mark.parametrize(("status", "body"), SHUTS, ids=lambda part: str(part)[:50])
def test_what_a_person_has_to_mend_is_waited_for_by_all(status: int, body: Any) -> None:
    assert refused(status, body).kind is Kind.SHUT


@pytest.mark.parametrize(("status", "body"), ITEMS, ids=lambda part: str(part)[:50])
def test_what_is_refused_of_one_prompt_fails_one_item(status: int, body: Any) -> None:
    assert refused(status, body).kind is Kind.ITEM


@pytest.mark.parametrize(("status", "body"), PASSES, ids=lambda part: str(part)[:50])
def test_what_may_pass_is_tried_again(status: int, body: Any) -> None:
    assert refused(status, body).kind is Kind.PASSES


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (told("This model is not served in your region", 403), Kind.SHUT),
        (told("No credits", "402"), Kind.SHUT),
        (told("Insufficient balance"), Kind.SHUT),
        ({"error": {"status_code": 1008, "status_msg": "insufficient balance"}}, Kind.SHUT),
        ({"error": {"code": 401, "msg": "invalid key", "data": None}}, Kind.SHUT),
        ({"error": {"code": 429, "msg": "too many requests"}}, Kind.PASSES),
        (told("Upstream error", 502), Kind.PASSES),
        (told("flagged", "content_filter"), Kind.ITEM),
        (told("boo"), Kind.PASSES),
        ({"error": "boo"}, Kind.PASSES),
        (None, Kind.PASSES),
    ],
)
def test_an_error_with_a_status_of_success_is_read_by_what_it_names(body: Any, kind: Kind) -> None:
    assert read_failure(ErrorInReplyError("boo", body)).kind is kind


def test_a_forbidden_request_that_names_a_wait_is_a_limit() -> None:
    assert refused(403, told("slow down"), Retry_After="3").kind is Kind.PASSES
    assert refused(429, told("slow down"), Retry_After="3").wait_s == 3


def test_a_reason_is_one_line_that_can_be_stored() -> None:
    reason = refused(400, told("so\0me\nwords \ud800 " + "x" * 5000)).reason
    assert reason.startswith("so me words ?")
    assert len(reason) < 400
    reason.encode()


def test_a_reply_of_another_form_is_told_as_such() -> None:
    read = read_failure(AttributeError("'list' object has no attribute 'items'"))
    assert read.reason == "what it answers cannot be understood: 'list' object has no attribute 'items'"


@pytest.mark.parametrize("before", [80, 110, 285, 299, 3995])
def test_a_key_that_is_quoted_where_words_are_cut_off_is_hidden(before: int) -> None:
    key = "sk-quoted-0123456789abcdef"
    keep_secret(key)
    said = "x" * before + key
    reasons = [refused(401, told(said)).reason, refused(502, f"<html>{said}</html>").reason]
    for content in (f"<html>{said}</html>".encode(), json.dumps({"id": said}).encode()):
        with pytest.raises(ErrorInReplyError) as caught:
            read_body(content)
        reasons.append(read_failure(caught.value).reason)
    assert [reason for reason in reasons if key[:6] in reason] == []


@pytest.mark.parametrize(
    ("status", "body", "account"),
    [
        (401, told("no"), True),
        (402, told("you can only afford 30 tokens"), True),
        (400, told("pay first", "insufficient_quota"), True),
        (400, told("x", "invalid_api_key"), True),
        (429, told(OPENAI_QUOTA), True),
        (400, told("Invalid value in messages[1]: 'dispute the billing of my account'"), False),
        (422, told("permission denied is no emotion"), False),
        (403, told("Your account has been suspended for violating our usage policies"), False),
        (404, told("The model `m` does not exist", "model_not_found"), False),
        (500, told("oops"), False),
    ],
)
def test_what_is_about_the_account_is_told_by_status_or_code(status: int, body: Any, account: bool) -> None:
    assert refused(status, body).account is account
