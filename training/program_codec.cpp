// SPDX-License-Identifier: Apache-2.0
// The canonical encoding of programs in RLP: docs/spec/training.md, section 1.
#include <algorithm>

#include "core/rlp.hpp"
#include "training/program.hpp"

namespace trainyard::training {

namespace {

/// Format 1 holds what the first programs needed; format 2 holds everything. A program that fits
/// format 1 is encoded in it, so that each program has one encoding.
constexpr std::string_view kMagic1 = "trainyard-program-1";
constexpr std::string_view kMagic2 = "trainyard-program-2";

bool fits_format_1(const Program& p) {
    const DataSpec& d = p.data;
    const bool plain_data = d.kind == DataKind::bytes && d.channels == 0 && d.payload_offset == 0 &&
                            d.elements == 0 && d.base_offset == 0;
    const Optimiser usual;
    return plain_data && p.constants.empty() && p.tokenizer.merges.empty() &&
           p.optimiser.kind == usual.kind && p.optimiser.clip_bits == usual.clip_bits &&
           std::none_of(p.parameters.begin(), p.parameters.end(),
                        [](const Parameter& x) { return x.init == Init::given; }) &&
           std::all_of(p.nodes.begin(), p.nodes.end(),
                       [](const Node& n) { return n.op <= Op::cross_entropy; });
}

void write_list(rlp::Writer& w, const std::vector<uint32_t>& numbers) {
    w.begin_list();
    for (const uint32_t x : numbers) w.number(uint64_t{x});
    w.end_list();
}

void write_numbers(rlp::Writer& w, std::initializer_list<uint64_t> numbers) {
    for (const uint64_t x : numbers) w.number(x);
}

void write_parameters(rlp::Writer& w, const Program& program) {
    w.begin_list();
    for (const Parameter& p : program.parameters) {
        w.begin_list().bytes(as_bytes(p.name));
        write_numbers(w, {p.shape.rank, p.shape.rows, p.shape.cols, p.decay ? 1U : 0U,
                          static_cast<uint64_t>(p.init), p.init_scale_bits});
        w.end_list();
    }
    w.end_list();
}

void write_constants(rlp::Writer& w, const Program& program) {
    w.begin_list();
    for (const Constant& c : program.constants) {
        w.begin_list().bytes(as_bytes(c.name));
        write_numbers(w,
                      {c.shape.rank, c.shape.rows, c.shape.cols, static_cast<uint64_t>(c.source)});
        w.bytes(c.data).end_list();
    }
    w.end_list();
}

void write_nodes(rlp::Writer& w, const Program& program) {
    w.begin_list();
    for (const Node& node : program.nodes) {
        w.begin_list().number(static_cast<uint64_t>(node.op));
        write_list(w, node.inputs);
        write_list(w, node.outputs);
        write_list(w, node.attributes);
        w.end_list();
    }
    w.end_list();
}

void write_optimiser(rlp::Writer& w, const Optimiser& o, bool whole) {
    Bytes rates;
    for (const uint32_t bits : o.lr_bits) append_le(rates, bits);
    w.begin_list();
    if (whole) write_numbers(w, {static_cast<uint64_t>(o.kind), o.clip_bits});
    write_numbers(w, {o.b1_bits, o.b2_bits, o.eps_bits, o.decay_bits});
    w.bytes(rates).end_list();
}

/// Reads items in order; after the first failure it yields zeros and `ok` is false.
class Items {
public:
    explicit Items(rlp::Reader reader) : reader_(reader) {}
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool more() const { return ok_ && !reader_.at_end(); }
    [[nodiscard]] bool ended() const { return ok_ && reader_.at_end(); }
    void fail() { ok_ = false; }

    uint64_t number(uint64_t max) {
        if (!ok_) return 0;
        auto x = reader_.number();
        ok_ = x.has_value() && *x <= max;
        return ok_ ? *x : 0;
    }
    uint32_t u32() { return static_cast<uint32_t>(number(0xffffffffU)); }
    BytesView bytes(size_t size_max) {
        if (!ok_) return {};
        auto x = reader_.bytes();
        ok_ = x.has_value() && x->size() <= size_max;
        return ok_ ? *x : BytesView{};
    }
    Items list() {
        if (ok_) {
            auto x = reader_.list();
            if (x) return Items(*x);
        }
        ok_ = false;
        Items none{rlp::Reader({})};
        none.fail();
        return none;
    }
    /// Takes over a failure of a nested list, which must have been read to its end.
    void join(const Items& nested) { ok_ = ok_ && nested.ended(); }

private:
    rlp::Reader reader_;
    bool ok_ = true;
};

std::vector<uint32_t> read_list(Items& from, size_t count_max) {
    std::vector<uint32_t> out;
    Items list = from.list();
    while (list.more() && out.size() <= count_max) out.push_back(list.u32());
    if (out.size() > count_max) list.fail();
    from.join(list);
    return out;
}

Parameter read_parameter(Items& from) {
    Items item = from.list();
    Parameter p;
    p.name = std::string(as_text(item.bytes(64)));
    p.shape.rank = static_cast<uint8_t>(item.number(255));
    p.shape.rows = item.u32();
    p.shape.cols = item.u32();
    p.decay = item.number(1) == 1;
    p.init = static_cast<Init>(item.number(255));
    p.init_scale_bits = item.u32();
    from.join(item);
    return p;
}

Constant read_constant(Items& from) {
    Items item = from.list();
    Constant c;
    c.name = std::string(as_text(item.bytes(64)));
    c.shape.rank = static_cast<uint8_t>(item.number(255));
    c.shape.rows = item.u32();
    c.shape.cols = item.u32();
    c.source = static_cast<ConstantSource>(item.number(255));
    const BytesView data = item.bytes(ProgramLimits::encoded_bytes_max);
    c.data.assign(data.begin(), data.end());
    from.join(item);
    return c;
}

Tokenizer read_tokenizer(Items& from) {
    Tokenizer out;
    const BytesView pairs = from.bytes(size_t{4} * ProgramLimits::merges_max);
    if (pairs.size() % 4 != 0) from.fail();
    for (size_t i = 0; i + 4 <= pairs.size(); i += 4)
        out.merges.emplace_back(load_le<uint16_t>(pairs.data() + i),
                                load_le<uint16_t>(pairs.data() + i + 2));
    return out;
}

Node read_node(Items& from) {
    constexpr size_t kEdgesMax = 8;
    Items item = from.list();
    Node node;
    node.op = static_cast<Op>(item.number(255));
    node.inputs = read_list(item, kEdgesMax);
    node.outputs = read_list(item, kEdgesMax);
    node.attributes = read_list(item, kEdgesMax);
    from.join(item);
    return node;
}

Optimiser read_optimiser(Items& from, bool whole) {
    Items item = from.list();
    Optimiser o;
    if (whole) {
        o.kind = static_cast<OptimiserKind>(item.number(255));
        o.clip_bits = item.u32();
    }
    o.b1_bits = item.u32();
    o.b2_bits = item.u32();
    o.eps_bits = item.u32();
    o.decay_bits = item.u32();
    const BytesView rates = item.bytes(size_t{4} * ProgramLimits::steps_max);
    if (rates.size() % 4 != 0) item.fail();
    for (size_t i = 0; i + 4 <= rates.size(); i += 4)
        o.lr_bits.push_back(load_le<uint32_t>(rates.data() + i));
    from.join(item);
    return o;
}

DataSpec read_data(Items& from, bool whole) {
    Items item = from.list();
    DataSpec d;
    const auto root = fixed_from<Hash>(item.bytes(32));
    if (root)
        d.root = *root;
    else
        item.fail();
    d.size_bytes = item.number(~0ULL);
    d.sequence = item.u32();
    d.stride = item.u32();
    d.held_out = item.u32();
    if (whole) {
        d.kind = static_cast<DataKind>(item.number(255));
        d.channels = item.u32();
        d.payload_offset = item.number(~0ULL);
        d.elements = item.number(~0ULL);
        d.base_offset = item.number(~0ULL);
    }
    from.join(item);
    return d;
}

RunSpec read_run(Items& from) {
    Items item = from.list();
    RunSpec r;
    r.steps = item.u32();
    r.micro_batches = item.u32();
    r.sequences = item.u32();
    r.segment_length = item.u32();
    from.join(item);
    return r;
}

ProgramFault fault(ProgramError error, int64_t where, std::string detail) {
    return {error, where, std::move(detail)};
}

/// Reads a list of at most `max` items; false when one is malformed or there are more.
template <class T, class Read>
bool read_all(Items& from, std::vector<T>& to, size_t max, const Read& read) {
    Items list = from.list();
    while (list.more() && to.size() <= max) to.push_back(read(list));
    const bool ended = list.ended() && to.size() <= max;
    if (!ended) from.fail();
    return ended;
}

Result<Program, ProgramFault> read_program(Items& top) {
    Program program;
    const std::string_view magic = as_text(top.bytes(kMagic1.size()));
    const bool whole = magic == kMagic2;
    if (!whole && magic != kMagic1)
        return unexpected(fault(ProgramError::malformed, -1,
                                "not a program of format trainyard-program-1 or -2"));
    program.recipe = static_cast<Recipe>(top.number(255));
    const auto broken = [](const char* what, size_t read) {
        return unexpected(fault(ProgramError::malformed, static_cast<int64_t>(read) - 1,
                                std::string(what) + " is malformed, or there are too many"));
    };
    if (!read_all(top, program.parameters, ProgramLimits::parameters_max, read_parameter))
        return broken("a parameter", program.parameters.size());
    if (whole && !read_all(top, program.constants, ProgramLimits::constants_max, read_constant))
        return broken("a constant", program.constants.size());
    if (!read_all(top, program.nodes, ProgramLimits::nodes_max, read_node))
        return broken("an operator", program.nodes.size());
    program.optimiser = read_optimiser(top, whole);
    program.data = read_data(top, whole);
    program.run = read_run(top);
    if (whole) program.tokenizer = read_tokenizer(top);
    if (!top.ended())
        return unexpected(fault(ProgramError::malformed, -1,
                                "optimiser, data or run are malformed, or bytes are left over"));
    return program;
}

}  // namespace

Bytes encode_program(const Program& program) {
    const bool whole = !fits_format_1(program);
    rlp::Writer w;
    w.begin_list().bytes(as_bytes(whole ? kMagic2 : kMagic1));
    w.number(static_cast<uint64_t>(program.recipe));
    write_parameters(w, program);
    if (whole) write_constants(w, program);
    write_nodes(w, program);
    write_optimiser(w, program.optimiser, whole);
    const DataSpec& d = program.data;
    w.begin_list().fixed(d.root);
    write_numbers(w, {d.size_bytes, d.sequence, d.stride, d.held_out});
    if (whole)
        write_numbers(w, {static_cast<uint64_t>(d.kind), d.channels, d.payload_offset, d.elements,
                          d.base_offset});
    w.end_list();
    const RunSpec& r = program.run;
    w.begin_list();
    write_numbers(w, {r.steps, r.micro_batches, r.sequences, r.segment_length});
    w.end_list();
    if (whole) {
        Bytes pairs;
        for (const auto& [left, right] : program.tokenizer.merges) {
            append_le(pairs, left);
            append_le(pairs, right);
        }
        w.bytes(pairs);
    }
    w.end_list();
    return w.take();
}

Result<Program, ProgramFault> decode_program(BytesView encoded) {
    if (encoded.size() > ProgramLimits::encoded_bytes_max)
        return unexpected(fault(ProgramError::too_large, -1, "an encoding has at most 8 MiB"));
    Items outer{rlp::Reader(encoded)};
    Items top = outer.list();
    auto program = read_program(top);
    if (!program) return program;
    if (!outer.ended())
        return unexpected(fault(ProgramError::malformed, -1, "bytes are left over at the end"));
    auto valid = validate_program(*program);
    if (!valid) return unexpected(valid.error());
    const Bytes again = encode_program(*program);
    if (!std::equal(again.begin(), again.end(), encoded.begin(), encoded.end()))
        return unexpected(fault(ProgramError::not_canonical, -1, "re-encoding gives other bytes"));
    return program;
}

}  // namespace trainyard::training
