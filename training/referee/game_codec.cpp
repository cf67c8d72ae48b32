// SPDX-License-Identifier: Apache-2.0
// States and moves as bytes.
#include "training/referee/game_codec.hpp"

#include <limits>

#include "training/state_blob.hpp"
#include "training/state_root.hpp"

namespace trainyard::training::referee {

namespace {

constexpr uint64_t kLastPhase = static_cast<uint64_t>(Phase::provider_won);
constexpr uint64_t kLastSubject = static_cast<uint64_t>(SubjectKind::init);

/// A number that must fit into T.
template <class T>
T small(rlp::Fields& from) {
    const uint64_t value = from.number();
    if (value > std::numeric_limits<T>::max()) from.fail(rlp::Error::bad_value);
    return static_cast<T>(value);
}

template <class T>
T choice(rlp::Fields& from, uint64_t last) {
    const uint64_t value = from.number();
    if (value > last) from.fail(rlp::Error::bad_value);
    return static_cast<T>(value);
}

template <class Item, class Read>
std::vector<Item> read_items(rlp::Fields& from, size_t bytes, const Read& read) {
    const BytesView all = from.view();
    std::vector<Item> out;
    if (all.size() % bytes != 0) return from.fail(rlp::Error::bad_value), out;
    for (size_t at = 0; at < all.size(); at += bytes) out.push_back(read(all.subspan(at, bytes)));
    return out;
}

Bytes bytes_of(const std::vector<Hash>& hashes) {
    Bytes out;
    for (const Hash& hash : hashes) append(out, hash.bytes);
    return out;
}

Bytes bytes_of(const std::vector<uint32_t>& numbers) {
    Bytes out;
    for (const uint32_t number : numbers) append_le(out, number);
    return out;
}

void write_tuple(rlp::Writer& to, const StepTuple& t) {
    to.begin_list().fixed(t.units_root).fixed(t.grad_root);
    to.number(t.norm_bits).number(t.loss_bits).number(t.nonfinite).end_list();
}

void write_shape(rlp::Writer& to, Shape s) {
    to.begin_list().number(s.rank).number(s.rows).number(s.cols).end_list();
}

Shape read_shape(rlp::Fields& from) {
    Shape s;
    from.list([&](rlp::Fields& f) {
        s.rank = small<uint8_t>(f);
        s.rows = small<uint32_t>(f);
        s.cols = small<uint32_t>(f);
    });
    return s;
}

void write_call(rlp::Writer& to, const Call& c) {
    to.begin_list().number(static_cast<uint64_t>(c.op));
    for (const auto* shapes : {&c.in, &c.out}) {
        to.begin_list();
        for (const Shape& s : *shapes) write_shape(to, s);
        to.end_list();
    }
    to.bytes(bytes_of(c.attributes));
    to.number(c.sequences).number(c.seed).number(c.step).number(c.inv_n_bits).end_list();
}

Call read_call(rlp::Fields& from) {
    Call c;
    from.list([&](rlp::Fields& f) {
        c.op = static_cast<Op>(small<uint8_t>(f));
        for (auto* shapes : {&c.in, &c.out})
            f.each([&](rlp::Fields& one) { shapes->push_back(read_shape(one)); });
        c.attributes = read_numbers(f);
        c.sequences = small<uint32_t>(f);
        c.seed = small<uint32_t>(f);
        c.step = small<uint32_t>(f);
        c.inv_n_bits = small<uint32_t>(f);
    });
    return c;
}

void write_subject(rlp::Writer& to, const Subject& s) {
    to.begin_list().number(static_cast<uint64_t>(s.kind)).number(s.index).fixed(s.root);
    write_shape(to, s.shape);
    to.number(s.port);
    write_call(to, s.call);
    to.end_list();
}

Subject read_subject(rlp::Fields& from) {
    Subject s;
    from.list([&](rlp::Fields& f) {
        s.kind = choice<SubjectKind>(f, kLastSubject);
        s.index = small<uint32_t>(f);
        s.root = f.fixed<Hash>();
        s.shape = read_shape(f);
        s.port = small<uint16_t>(f);
        s.call = read_call(f);
    });
    return s;
}

void write_claim(rlp::Writer& to, const Claim& c) {
    const SegmentClaim& s = c.segment;
    to.begin_list().fixed(c.program).fixed(c.run_seed);
    to.number(c.micro_batches).number(c.loss_bits).number(s.first_step).number(s.steps);
    to.fixed(s.first_root).fixed(s.last_root).fixed(s.steps_root).end_list();
}

Claim read_claim(rlp::Fields& from) {
    Claim c;
    from.list([&](rlp::Fields& f) {
        c.program = f.fixed<Hash>();
        c.run_seed = f.fixed<Hash>();
        c.micro_batches = small<uint32_t>(f);
        c.loss_bits = small<uint32_t>(f);
        c.segment.first_step = small<uint32_t>(f);
        c.segment.steps = small<uint32_t>(f);
        c.segment.first_root = f.fixed<Hash>();
        c.segment.last_root = f.fixed<Hash>();
        c.segment.steps_root = f.fixed<Hash>();
    });
    return c;
}

void write_term(rlp::Writer& to, const Term& t) {
    to.begin_list().number(t.kind).number(t.port).number(t.a).number(t.b).number(t.c);
    to.number(t.d).number(t.given).end_list();
}

Term read_term(rlp::Fields& from) {
    Term t;
    from.list([&](rlp::Fields& f) {
        t.kind = small<uint8_t>(f);
        t.port = small<uint16_t>(f);
        for (auto* x : {&t.a, &t.b, &t.c, &t.d, &t.given}) *x = small<uint32_t>(f);
    });
    return t;
}

Unit unit_from(BytesView bytes) {
    return {load_le<uint32_t>(bytes.data()), *fixed_from<Hash>(bytes.subspan(4))};
}

Bytes bytes_of(const Unit& unit) {
    Bytes out;
    append_le(out, unit.loss_bits);
    append(out, unit.grad_root.bytes);
    return out;
}

Unit read_unit(rlp::Fields& from) {
    const auto units = read_units(from);
    if (units.size() == 1) return units[0];
    return from.fail(rlp::Error::bad_value), Unit{};
}

}  // namespace

std::vector<Hash> read_hashes(rlp::Fields& from) {
    return read_items<Hash>(from, Hash::size(), [](BytesView b) { return *fixed_from<Hash>(b); });
}

std::vector<uint32_t> read_numbers(rlp::Fields& from) {
    return read_items<uint32_t>(from, 4, [](BytesView b) { return load_le<uint32_t>(b.data()); });
}

std::vector<Unit> read_units(rlp::Fields& from) {
    return read_items<Unit>(from, 4 + Hash::size(), unit_from);
}

StepTuple read_tuple(rlp::Fields& from) {
    StepTuple t;
    from.list([&](rlp::Fields& f) {
        t.units_root = f.fixed<Hash>();
        t.grad_root = f.fixed<Hash>();
        t.norm_bits = small<uint32_t>(f);
        t.loss_bits = small<uint32_t>(f);
        t.nonfinite = small<uint8_t>(f);
    });
    return t;
}

Opening read_opening(rlp::Fields& from) {
    Opening out;
    from.list([&](rlp::Fields& f) {
        f.each([&](rlp::Fields& one) { out.blocks.push_back(one.bytes()); });
        f.each([&](rlp::Fields& one) { out.paths.push_back(read_hashes(one)); });
        out.unit = read_unit(f);
    });
    return out;
}

Bytes encode_state(const State& s) {
    rlp::Writer to;
    to.begin_list();
    write_claim(to, s.claim);
    to.number(static_cast<uint64_t>(s.phase)).number(s.step);
    to.fixed(s.before).fixed(s.after).fixed(s.after_weights);
    write_tuple(to, s.tuple);
    to.bytes(bytes_of(s.unit)).fixed(s.tuple_leaf).fixed(s.transcript).number(s.unit_number);
    write_subject(to, s.subject);
    to.fixed(s.node).number(s.level).number(s.index);
    write_term(to, s.term);
    to.number(s.number).bytes(bytes_of(s.hashes)).bytes(bytes_of(s.numbers)).end_list();
    return to.take();
}

std::optional<State> decode_state(BytesView encoded) {
    State s;
    rlp::Fields top(encoded);
    top.list([&](rlp::Fields& f) {
        s.claim = read_claim(f);
        s.phase = choice<Phase>(f, kLastPhase);
        s.step = small<uint32_t>(f);
        s.before = f.fixed<Hash>();
        s.after = f.fixed<Hash>();
        s.after_weights = f.fixed<Hash>();
        s.tuple = read_tuple(f);
        s.unit = read_unit(f);
        s.tuple_leaf = f.fixed<Hash>();
        s.transcript = f.fixed<Hash>();
        s.unit_number = small<uint32_t>(f);
        s.subject = read_subject(f);
        s.node = f.fixed<Hash>();
        s.level = small<uint32_t>(f);
        s.index = small<uint32_t>(f);
        s.term = read_term(f);
        s.number = small<uint32_t>(f);
        s.hashes = read_hashes(f);
        s.numbers = read_numbers(f);
    });
    if (!top.finish()) return std::nullopt;
    return s;
}

namespace move {

namespace {

/// A list of strings.
template <class... Items>
Bytes list_of(const Items&... items) {
    rlp::Writer to;
    to.begin_list();
    (to.bytes(items), ...);
    return to.end_list().take();
}

}  // namespace

Bytes pick(uint32_t index) {
    rlp::Writer to;
    return to.begin_list().number(index).end_list().take();
}
Bytes show_steps(const std::vector<Hash>& values, const std::vector<Hash>& whole) {
    return list_of(bytes_of(values), bytes_of(whole));
}
Bytes show_step(const StepTuple& tuple, const std::vector<Unit>& units) {
    Bytes all;
    for (const Unit& unit : units) append(all, bytes_of(unit));
    rlp::Writer to;
    to.begin_list();
    write_tuple(to, tuple);
    return to.bytes(all).end_list().take();
}
Bytes show_unit(BytesView program, const std::vector<Hash>& roots) {
    return list_of(program, bytes_of(roots));
}
Bytes show_init(BytesView program, const std::vector<Hash>& roots) {
    return list_of(program, bytes_of(roots));
}
Bytes show_update(BytesView program, const std::vector<Hash>& sums,
                  const std::vector<uint32_t>& squares, const std::vector<Hash>& state) {
    return list_of(program, bytes_of(sums), bytes_of(squares), bytes_of(state));
}
Bytes show_subject(BytesView program) {
    return list_of(program);
}
Bytes show_nodes(const std::vector<Hash>& nodes) {
    return list_of(bytes_of(nodes));
}
Bytes show_tile(BytesView tile) {
    return list_of(tile);
}
Bytes show_parts(const std::vector<uint32_t>& numbers) {
    return list_of(bytes_of(numbers));
}
Bytes show_input(BytesView program, const Opening& opening) {
    rlp::Writer to;
    to.begin_list().bytes(program).begin_list().begin_list();
    for (const Bytes& block : opening.blocks) to.bytes(block);
    to.end_list().begin_list();
    for (const auto& path : opening.paths) to.bytes(bytes_of(path));
    to.end_list().bytes(bytes_of(opening.unit));
    return to.end_list().end_list().take();
}

}  // namespace move

std::string_view to_text(Phase phase) {
    static constexpr std::string_view kNames[] = {"show steps",
                                                  "pick a step",
                                                  "show the initial state",
                                                  "pick an initial tensor",
                                                  "show a step",
                                                  "pick a unit",
                                                  "show a unit",
                                                  "pick a value",
                                                  "show the update",
                                                  "pick of the update",
                                                  "show the subject",
                                                  "show nodes",
                                                  "pick a node",
                                                  "show a tile",
                                                  "pick an element",
                                                  "show parts",
                                                  "pick a part",
                                                  "show an input",
                                                  "the provider won"};
    return kNames[static_cast<size_t>(phase)];
}

std::string_view to_text(Refusal refusal) {
    static constexpr std::string_view kNames[] = {
        "it has not the form that this phase asks for",
        "it does not lead to what was committed or shown before",
        "it leads to what was committed, but is no step of training",
        "there is nothing to pick at this index", "the game has ended"};
    return kNames[static_cast<size_t>(refusal)];
}

}  // namespace trainyard::training::referee
