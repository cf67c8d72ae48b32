// SPDX-License-Identifier: Apache-2.0
// Disputes: claims and states of strangers, moves that were tampered with, and lines over any
// numbers. The first byte says which.
#include <algorithm>
#include <memory>
#include <optional>

#include "core/assert.hpp"
#include "core/blob.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/training/image_programs.hpp"
#include "tests/training/small_program.hpp"
#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/referee/players.hpp"
#include "training/referee/start.hpp"

namespace trainyard::training::referee {
namespace {

constexpr int kMovesMax = 64;

Program text_program() {
    GptOptions o = small_options();
    o.layers = 1, o.width = 4, o.sequence = 3, o.micro_batches = 2, o.sequences = 1;
    return *make_gpt(o);
}

/// Somebody who knows the numbers of a segment of two steps.
Witness& honest() {
    static const Bytes data = make_text(4000);
    static const std::unique_ptr<Backend> backend = make_cpu_backend({CpuPath::scalar, 1});
    static Witness witness = [] {
        Program program = text_program();
        program.data.root = blob::id(data);
        return *Witness::make(program, data, *backend,
                              {make_initial_state(program, seed_of(3), data), 2});
    }();
    return witness;
}

void check_codec(const State& state) {
    ASSERT(decode_state(encode_state(state)) == state);
}

/// The move is taken, or refused without a trace.
std::optional<State> try_move(const State& state, BytesView move) {
    const State before = state;
    const auto next = play(state, move);
    ASSERT(state == before);
    if (!next) {
        ASSERT(!to_text(next.error()).empty());
        return std::nullopt;
    }
    check_codec(*next);
    return *next;
}

void read_claim(BytesView data) {
    const auto state = start(data);
    if (!state) return;
    const Bytes again = encode_claim(state->claim);
    ASSERT(std::equal(again.begin(), again.end(), data.begin(), data.end()));
    check_codec(*state);
}

void read_state(BytesView data) {
    const auto state = decode_state(data);
    if (!state) return;
    const Bytes again = encode_state(*state);
    ASSERT(std::equal(again.begin(), again.end(), data.begin(), data.end()));
}

uint32_t any_index(Choices& in, size_t count) {
    const uint64_t index = in.below(256) << 8 | in.below(256);
    return static_cast<uint32_t>(count == 0 ? index : index % count);
}

Bytes tampered(Bytes move, Choices& in) {
    const uint32_t at = any_index(in, move.size());
    switch (in.below(4)) {
        case 0:
            move[at] ^= static_cast<uint8_t>(1 + in.below(255));
            break;
        case 1:
            move.resize(at);
            break;
        case 2:
            move.insert(move.begin() + at, static_cast<uint8_t>(in.below(256)));
            break;
        default:
            move.assign(1 + in.below(8), 0);
            for (uint8_t& byte : move) byte = static_cast<uint8_t>(in.below(256));
    }
    return move;
}

/// What the challenger points at: what it thinks wrong, or anything. Nobody who knows the numbers
/// thinks those of an honest provider wrong.
uint32_t pick_of(const State& s, bool is_honest, Choices& in) {
    const auto own = challenger_pick(honest(), s);
    ASSERT(own.has_value());
    const bool goes_on = s.phase == Phase::pick_unit || s.phase == Phase::pick_value;
    ASSERT(!is_honest || goes_on || !*own);
    if (*own && in.below(2) == 0) return **own;
    return any_index(in, s.hashes.size() + s.numbers.size() + 1);
}

/// A game with an honest provider, whose moves are tampered with on the way.
void play_game(BytesView data) {
    Choices in(data);
    State state = *start(encode_claim(*honest().claim()));
    bool is_honest = true;
    for (int moves = 0; moves < kMovesMax && turn_of(state.phase) != Turn::nobody; ++moves) {
        const bool shows = turn_of(state.phase) == Turn::provider;
        Bytes move;
        if (shows) {
            const auto own = provider_move(honest(), state);
            ASSERT(own || !is_honest);
            if (!own) return;
            move = *own;
        } else {
            move = move::pick(pick_of(state, is_honest, in));
        }
        const bool tampers = in.below(4) == 1;
        const auto next = try_move(state, tampers ? tampered(move, in) : move);
        ASSERT(next || tampers || !shows || !is_honest);
        if (next && tampers && shows) is_honest = false;
        if (next) state = *next;
    }
}

/// Bits of any kind where `wild` says so; else an index where one is due, and some float.
uint32_t any_number(uint32_t port, uint32_t element, uint32_t seed, bool is_index, uint32_t wild) {
    const auto words = philox({port, element, 0, 0}, seed, 1);
    if (words[1] % 64 < wild) {
        constexpr uint32_t kOdd[] = {0x7f800000, 0xff800000, 0x7fc00001, 0xffffffff,
                                     0x7f7fffff, 0x00000001, 0x80000000, 300};
        return kOdd[words[2] % std::size(kOdd)];
    }
    if (is_index) return words[0] % 3;
    return (words[0] & 0x807fffff) | (120 + words[0] % 16) << 23;
}

/// An operator's call with made-up inputs.
struct Made {
    State state;  ///< in phase show_parts
    Inputs inputs;
};
Made make_call(Choices& in) {
    static const std::vector<Program> programs = [] {
        std::vector<Program> out = image_programs();
        out.push_back(text_program());
        return out;
    }();
    const Program& program = programs[in.below(programs.size())];
    const Graph graph = derive_training_graph(program)->graph;
    const Node& node = graph.nodes[any_index(in, graph.nodes.size())];
    Made out;
    State& s = out.state;
    s.claim.program = program_id(program);
    s.claim.micro_batches = program.run.micro_batches;
    s.claim.segment.steps = 2;
    s.phase = Phase::show_parts;
    s.subject.kind = SubjectKind::value;
    s.subject.index = node.outputs[in.below(node.outputs.size())];
    ASSERT(resolve(s.subject, program, {{}, 1, 1, 0x3f800000}));
    s.term = {kOutput, s.subject.port, any_index(in, s.subject.shape.count())};
    const auto seed = static_cast<uint32_t>(in.below(256)), wild = uint32_t{in.below(3) == 0};
    std::vector<bool> is_index;
    for (const uint32_t value : node.inputs) {
        const ValueKind kind = graph.values[value].kind;
        is_index.push_back(kind == ValueKind::targets || kind == ValueKind::tokens);
    }
    out.inputs = [=](uint32_t port, uint32_t element) {
        return any_number(port, element, seed, is_index[port], wild);
    };
    return out;
}

/// Down the lines of an operator, whose numbers join; or, now and then, with one that was changed.
void follow_lines(BytesView data) {
    Choices in(data);
    Made made = make_call(in);
    State& s = made.state;
    s.number = evaluate(s.subject.call, s.term, made.inputs).value_or(0);
    for (int moves = 0; moves < kMovesMax && s.phase == Phase::show_parts; ++moves) {
        auto parts = evaluate_parts(s.subject.call, s.term, made.inputs);
        const size_t due = line_of(s.subject.call, s.term).parts.size();
        ASSERT(due <= kPartsMax && (!parts || parts->size() == due));
        const bool is_right = parts && evaluate(s.subject.call, s.term, made.inputs) == s.number;
        if (!parts) parts = Numbers(due, 0x3f800000);
        const bool tampers = in.below(8) == 1 && due > 0;
        if (tampers) (*parts)[any_index(in, due)] ^= 1U << in.below(32);
        const auto shown = try_move(s, move::show_parts(*parts));
        ASSERT(shown || tampers || !is_right);
        if (!shown || due == 0) return;
        (void)first_wrong(s.subject.call, s.term, *parts, made.inputs);
        const auto picked = try_move(*shown, move::pick(any_index(in, due)));
        ASSERT(picked.has_value());
        s = *picked;
    }
}

void fuzz_one(BytesView data) {
    using Part = void (*)(BytesView);
    static constexpr Part kParts[] = {read_claim, read_state, play_game, follow_lines};
    if (!data.empty()) kParts[data[0] % std::size(kParts)](data.subspan(1));
}

}  // namespace
}  // namespace trainyard::training::referee

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::training::referee::fuzz_one({data, size});
    return 0;
}
