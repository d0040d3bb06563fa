"""TAXII 2.1 §1.6.7 Serialization: everything is JSON in UTF-8, and I-JSON (RFC 7493)."""

from taxii_node import TAXII, indicator
from taxii_tables import i_json

ID = indicator(1)["id"]
WONDERFUL = indicator(1, description='ü € 𝄞 \u2028 \x7f \\ " / 日本', x_list=[[], {}, "", 0, -0.5, 1e300, None])
ANSWERS = [
    "/taxii2/",
    "/exchange/",
    "/exchange/collections/",
    "",
    "objects/",
    "objects/?limit=1",
    "manifest/",
    f"objects/{ID}/",
    f"objects/{ID}/versions/",
    "objects/?match[type]=malware",
    "objects/?limit=%C3%BC%F0%9D%84%9E",  # an error message that tells what was sent
    "/exchange/nowhere/",
]


async def test_every_answer_is_utf_8_and_i_json(node):
    await node.fill([WONDERFUL, indicator(2)])
    for path in ANSWERS:
        answer = await node.get(path)
        assert not answer.content.startswith(b"\xef\xbb\xbf"), path
        assert isinstance(i_json(answer.content), dict), path
        assert answer.headers["Content-Type"] == TAXII, path  # JSON is UTF-8: no charset is said
    posted = await node.post({"objects": [indicator(3, name="ü")], "ü": "𝄞"})
    assert i_json(posted.content)["success_count"] == 1


async def test_text_comes_back_letter_by_letter_whatever_its_language(node):
    await node.post({"objects": [WONDERFUL]})
    for path in ("objects/", f"objects/{ID}/", "objects/?match[version]=all"):
        assert i_json((await node.get(path)).content)["objects"] == [WONDERFUL], path


async def test_a_body_in_another_coding_is_refused_and_stores_nothing(node):
    for coding in ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"):
        answer = await node.post('{"objects": [{"name": "ü"}]}'.encode(coding))
        assert answer.status_code == 400, coding
    assert (await node.get("objects/")).content == b"{}"


async def test_what_is_almost_json_is_refused(node):
    for text in ("{'objects': []}", '{"objects": [],}', '{"objects": [] /* none */}', "{objects: []}"):
        assert (await node.post(text.encode())).status_code == 400, text
