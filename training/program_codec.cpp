// SPDX-License-Identifier: Apache-2.0
// The canonical encoding of programs in RLP: docs/spec/training.md, section 1.
#include "core/rlp.hpp"
#include "training/program.hpp"

namespace trainyard::training {

namespace {

constexpr std::string_view kMagic = "trainyard-program-1";

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

void write_optimiser(rlp::Writer& w, const Optimiser& o) {
    Bytes rates;
    for (const uint32_t bits : o.lr_bits) append_le(rates, bits);
    w.begin_list();
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

Optimiser read_optimiser(Items& from) {
    Items item = from.list();
    Optimiser o;
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

DataSpec read_data(Items& from) {
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

Result<Program, ProgramFault> read_program(Items& top) {
    Program program;
    if (as_text(top.bytes(kMagic.size())) != kMagic)
        return unexpected(
            fault(ProgramError::malformed, -1, "not a program of format trainyard-program-1"));
    program.recipe = static_cast<Recipe>(top.number(255));
    Items parameters = top.list();
    while (parameters.more() && program.parameters.size() <= ProgramLimits::parameters_max)
        program.parameters.push_back(read_parameter(parameters));
    if (!parameters.ended())
        return unexpected(fault(ProgramError::malformed,
                                static_cast<int64_t>(program.parameters.size()) - 1,
                                "a parameter is malformed, or there are too many"));
    Items nodes = top.list();
    while (nodes.more() && program.nodes.size() <= ProgramLimits::nodes_max)
        program.nodes.push_back(read_node(nodes));
    if (!nodes.ended())
        return unexpected(fault(ProgramError::malformed,
                                static_cast<int64_t>(program.nodes.size()) - 1,
                                "an operator is malformed, or there are too many"));
    program.optimiser = read_optimiser(top);
    program.data = read_data(top);
    program.run = read_run(top);
    if (!top.ended())
        return unexpected(fault(ProgramError::malformed, -1,
                                "optimiser, data or run are malformed, or bytes are left over"));
    return program;
}

}  // namespace

Bytes encode_program(const Program& program) {
    rlp::Writer w;
    w.begin_list().bytes(as_bytes(kMagic)).number(static_cast<uint64_t>(program.recipe));
    write_parameters(w, program);
    write_nodes(w, program);
    write_optimiser(w, program.optimiser);
    const DataSpec& d = program.data;
    w.begin_list().fixed(d.root);
    write_numbers(w, {d.size_bytes, d.sequence, d.stride, d.held_out});
    w.end_list();
    const RunSpec& r = program.run;
    w.begin_list();
    write_numbers(w, {r.steps, r.micro_batches, r.sequences, r.segment_length});
    w.end_list().end_list();
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
