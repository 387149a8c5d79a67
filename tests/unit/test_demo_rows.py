"""Real event files: columns, forms of time, keys that a second sending repeats, and what is wrong left wrong."""

import gzip

import pytest

from infra.demo.rows import BadFile, items, look, message, read, time_of


@pytest.fixture
def written(tmp_path):
    def write(text, name="events.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (("1569888000", "1569888060.5"), "epoch seconds"),
        (("1569888000000", "1569888060500"), "epoch milliseconds"),
        (("2019-10-01T00:00:00Z", "2019-10-01T02:01:00.500+02:00"), "ISO 8601"),
        (("2019-10-01 00:00:00 UTC", "2019-10-01 00:01:00.5"), "ISO 8601"),
    ],
)
def test_every_form_of_time_gives_the_same_span(written, cells, form):
    path = written("user,item,timestamp\n" + "".join(f"u,i,{cell}\n" for cell in reversed(cells)))
    assert look(path) == look(path)
    span = look(path)
    assert (span.rows, span.form, span.first, span.last) == (2, form, 1_569_888_000_000, 1_569_888_060_500)


def test_gzip_is_known_by_its_content_and_a_byte_order_mark_is_no_column(written, tmp_path):
    packed = written("user,item,timestamp\nu,i,1\n", "events.csv.gz")
    renamed = packed.rename(tmp_path / "events.dat")
    assert list(read(renamed)) == [{"user": "u", "item": "i", "timestamp": "1"}]
    assert list(read(written("\ufeffuser,item,timestamp\nu,i,1\n"))) == [{"user": "u", "item": "i", "timestamp": "1"}]


def test_a_row_becomes_a_message_with_its_own_time_and_its_columns(written):
    path = written("user,item,timestamp,event,price,brand,session\n7,i1,1569888000,purchase,35.79,aqua,\n")
    sent = message(next(read(path)), "epoch seconds")
    assert sent.pop("messageId").isalnum()
    assert sent == {
        "type": "track",
        "userId": "7",
        "event": "purchase",
        "timestamp": "2019-10-01T00:00:00.000Z",
        "properties": {"item": "i1", "price": 35.79, "brand": "aqua"},
    }


def test_equal_rows_have_equal_ids_and_any_other_cell_another(written):
    path = written("user,item,timestamp,event\nu,i,1,view\nu,i,1,view\nu,i,1,cart\nu,j,1,view\nu,i,2,view\n")
    ids = [message(row, "epoch seconds")["messageId"] for row in read(path)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_without_an_event_column_a_row_is_a_view_and_unknown_events_keep_their_name(written):
    assert message(next(read(written("user,item,timestamp\nu,i,1\n"))), "epoch seconds")["event"] == "view"
    path = written("user,item,timestamp,event\nu,i,1,VIEW\nu,i,1,Wish List\nu,i,1,\n", "b.csv")
    assert [message(row, "epoch seconds")["event"] for row in read(path)] == ["view", "Wish List", ""]


def test_what_is_wrong_stays_wrong_for_beckon_to_refuse(written):
    path = written("user,item,timestamp,event,price\n,i,1,view,\nu,,1,view,\nu,i,noon,view,\nu,i\nu,i,1,view,nan\n")
    nobody, nothing, noon, short, odd = (message(row, "epoch seconds") for row in read(path))
    assert nobody["userId"] == ""
    assert nothing["properties"] == {}
    assert noon["timestamp"] == "noon"
    assert short["timestamp"] == "(empty)"
    assert odd["properties"]["price"] == "nan"
    assert look(path).unreadable == 2


@pytest.mark.parametrize("cell", ["", "noon", "-5", "1e400", "nan", "9e15"])
def test_what_is_no_time_is_none(cell):
    assert time_of(cell, "epoch seconds") is None


def test_a_time_is_read_in_the_files_one_form(written):
    path = written("user,item,timestamp\nu,i,soon\nu,i,1569888000\nu,i,2019-10-01\n")
    assert (look(path).form, look(path).unreadable) == ("epoch seconds", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column user or item or timestamp"),
        ("user,product,timestamp\n1,2,3\n", "no column item.*has user, product, timestamp"),
        ("user,item,timestamp\n", "0 rows and no time"),
        ("user,item,timestamp\nu,i,noon\n", "1 rows and no time"),
    ],
)
def test_a_file_that_cannot_be_replayed_says_why(written, text, said):
    with pytest.raises(BadFile, match=said):
        look(written(text))


def test_a_missing_or_broken_file_says_so(tmp_path):
    with pytest.raises(BadFile, match="there is no file"):
        look(tmp_path / "none.csv")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"user,item,timestamp\n" + b"u,i,1\n" * 1000)[:-20])
    with pytest.raises(BadFile, match="cannot be read"):
        look(cut)


def test_items_take_either_form_of_attributes_and_their_id_for_a_title(written):
    mug = '{"item": 2, "title": "Mug", "price": 4.5, "attributes": {"colour": "ink"}}'
    path = written(f'{{"item": "1", "attributes": ["173", "4"]}}\n\n{mug}\n')
    assert list(items(path)) == [
        {"id": "1", "title": "1", "attributes": {"attribute": ["173", "4"]}},
        {"id": "2", "title": "Mug", "price": 4.5, "attributes": {"colour": "ink"}},
    ]


@pytest.mark.parametrize("line", ["[]", "{}", '{"item": ', '{"item": null}', '{"item": "1", "price": NaN}'])
def test_a_line_that_is_no_item_is_named(written, line):
    with pytest.raises(BadFile, match="line 2"):
        list(items(written('{"item": "1"}\n' + line + "\n")))
