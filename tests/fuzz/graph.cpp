// SPDX-License-Identifier: Apache-2.0
// Any program: all paths of the CPU, with activations kept or made twice, train it to the bits of
// the reference, or fail as it does.
#include <cstdio>
#include <map>
#include <memory>
#include <optional>

#include "core/assert.hpp"
#include "tests/fuzz/choices.hpp"
#include "training/builder.hpp"
#include "training/engine.hpp"
#include "training/graph.hpp"
#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"
#include "training/state_root.hpp"

namespace trainyard::training {
namespace {

constexpr size_t kOperatorsMax = 16;
constexpr size_t kElementsMax = 1 << 13;  ///< of a value
constexpr uint64_t kMacsMax = 1 << 20;    ///< of a micro-batch
constexpr uint32_t kEpsBits = 0x3727c5ac;
constexpr uint64_t kDataBytes = 4000;

/// What an operator reads: a value that is there, or one that comes with it.
struct Source {
    enum class Kind : uint8_t { value, normal, ones, zeros, constant } kind = Kind::value;
    Shape shape;
    Ref ref;  ///< of a value
};

std::vector<float> some_numbers(size_t count) {
    std::vector<float> out(count);
    for (size_t i = 0; i < count; ++i) out[i] = 0.125F * static_cast<float>(i % 17) - 1.0F;
    return out;
}

/// Grows a chain of operators, each on the result of the one before; some read earlier results too.
class ProgramMaker {
public:
    explicit ProgramMaker(Choices& in) : in_(in) {}

    /// Nothing if the chain ends in a shape that no loss takes.
    std::optional<Program> make() {
        set_data();
        begin();
        const size_t count = in_.between(0, kOperatorsMax);
        for (size_t i = 0; i < count; ++i) grow();
        if (!end()) return std::nullopt;
        Program program;
        b_.finish(program);
        program.data = data_;
        RunOptions run;
        run.steps = 2, run.warmup = 1, run.segment_length = 2, run.held_out = 0;
        run.micro_batches = in_.between(1, 3), run.sequences = dims_.sequences;
        run.learning_rate = in_.one_of({1e-2, 1.0, 1e-30});
        if (in_.below(3) == 0) run.optimiser = OptimiserKind::sgd;
        set_run(program, run);
        return program;
    }

private:
    void set_data() {
        dims_.sequences = in_.between(1, 4);
        height_ = in_.between(1, 9), width_ = in_.between(1, 9);
        dims_.positions = dims_.sequence = height_ * width_;
        data_.size_bytes = kDataBytes;
        data_.sequence = dims_.sequence;
        is_text_ = in_.below(2) == 0;
        if (is_text_) {
            data_.stride = dims_.sequence;
            return;
        }
        data_.kind = DataKind::images;
        data_.channels = in_.between(1, 3);
        data_.stride = 1;
        data_.elements = kDataBytes / (dims_.positions * data_.channels + 2);
    }

    [[nodiscard]] uint32_t rows() const { return x_.shape.rows; }
    [[nodiscard]] uint32_t columns() const { return x_.shape.cols; }
    uint32_t some_columns() { return in_.between(1, 40); }
    static Source vector(Source::Kind kind, uint32_t n) { return {kind, Shape::vector(n), {}}; }
    Source weight(uint32_t from, uint32_t to) {
        const auto kind = in_.below(5) == 0 ? Source::Kind::constant : Source::Kind::normal;
        return {kind, Shape::matrix(from, to), {}};
    }
    Source earlier() { return past_.empty() ? x_ : past_[in_.below(past_.size())]; }

    Ref made(const Source& s) {
        const std::string name = "p" + std::to_string(names_++);
        switch (s.kind) {
            case Source::Kind::normal:
                return b_.normal(name, s.shape, in_.below(2) == 0,
                                 in_.one_of({0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 1e-20, 1e18}));
            case Source::Kind::ones:
                return b_.ones(name, s.shape.cols);
            case Source::Kind::zeros:
                return b_.zeros(name, s.shape);
            case Source::Kind::constant:
                return b_.constant(name, s.shape, some_numbers(s.shape.count()));
            default:
                return s.ref;
        }
    }

    /// The operator's result is the chain's end then; false if its inputs do not fit or are large.
    bool apply(Op op, const std::vector<Source>& inputs, std::vector<uint32_t> attributes = {}) {
        std::vector<Shape> shapes;
        for (const Source& s : inputs) shapes.push_back(s.shape);
        const auto outputs = infer_outputs({op, {}, {}, attributes}, shapes, dims_);
        if (!outputs || outputs->empty() || outputs->front().shape.count() > kElementsMax)
            return false;
        std::vector<Ref> refs;
        for (const Source& s : inputs) refs.push_back(made(s));
        if (x_.shape.count() > 0) past_.push_back(x_);
        const Ref result = b_.emit(op, refs, std::move(attributes));
        x_ = {Source::Kind::value, outputs->front().shape, result};
        return true;
    }

    void begin() {
        if (is_text_) {
            const uint32_t d = some_columns();
            const Source tokens{Source::Kind::value,
                                Shape::matrix(dims_.sequences, dims_.positions),
                                GraphBuilder::input()};
            apply(Op::embedding, {tokens,
                                  {Source::Kind::normal, Shape::matrix(256, d), {}},
                                  {Source::Kind::normal, Shape::matrix(dims_.sequence, d), {}}});
            return;
        }
        x_ = {Source::Kind::value, Shape::matrix(dims_.sequences * dims_.positions, data_.channels),
              GraphBuilder::input()};
    }

    bool dense(uint32_t to) { return apply(Op::linear, {x_, weight(columns(), to)}, {noise()}); }
    uint32_t noise() { return b_.next_noise(); }

    void grow() {
        switch (in_.below(8)) {
            case 0:
                dense(some_columns());
                return;
            case 1:
                return normalise();
            case 2:
                apply(in_.one_of({Op::gelu, Op::silu, Op::relu, Op::tanh, Op::softmax}), {x_});
                return;
            case 3:
                return attend();
            case 4:
                return convolve();
            case 5:
                return rearrange();
            case 6:
                return combine();
            default:
                return disturb();
        }
    }

    void normalise() {
        const Source g = vector(Source::Kind::ones, columns());
        const Source b = vector(Source::Kind::zeros, columns());
        switch (in_.below(3)) {
            case 0:
                apply(Op::rms_norm, {x_, g});
                return;
            case 1:
                apply(Op::layer_norm, {x_, g, b}, {kEpsBits});
                return;
            default:
                apply(Op::group_norm, {x_, g, b},
                      {in_.between(1, 5), rows() / dims_.sequences, kEpsBits});
        }
    }

    void attend() {
        const uint32_t heads = in_.between(1, 4), head = in_.between(1, 24);
        if (in_.below(3) == 0) {
            const Source table{Source::Kind::constant, Shape::matrix(dims_.sequence, head), {}};
            apply(Op::rope, {x_, table}, {head, columns() / head * head});
        }
        if (!dense(3 * heads * head)) return;
        const Op op = in_.below(2) == 0 ? Op::attention : Op::attention_full;
        const uint32_t first = noise();
        apply(op, {x_}, {heads, first, noise()});
    }

    void convolve() {
        const uint32_t kernel = in_.between(1, 3);
        const uint32_t factor = in_.between(1, 3), other = in_.between(1, 3);
        switch (in_.below(3)) {
            case 0:
                apply(Op::im2col, {x_},
                      {height_, width_, kernel, in_.between(1, 2),
                       static_cast<uint32_t>(in_.below(kernel))});
                return;
            case 1:
                if (apply(Op::downsample, {x_},
                          {height_ / factor, width_ / other, factor, other, bits_of(0.3F)}))
                    height_ /= factor, width_ /= other;
                return;
            default:
                if (apply(Op::upsample, {x_}, {height_, width_, factor, other, bits_of(1.5F)}))
                    height_ *= factor, width_ *= other;
        }
    }

    void rearrange() {
        const uint32_t n = some_columns();
        switch (in_.below(6)) {
            case 0:
                apply(Op::reshape, {x_}, {n});
                return;
            case 1:
                apply(Op::transpose, {x_}, {in_.below(2) == 0 ? 0 : n});
                return;
            case 2:
                apply(Op::slice, {x_}, {static_cast<uint32_t>(in_.below(columns())), n});
                return;
            case 3:
                apply(Op::repeat, {x_}, {n, in_.between(1, 3)});
                return;
            case 4:
                apply(Op::concat, {x_, earlier()});
                return;
            default:
                apply(Op::concat, {x_, earlier(), x_});
        }
    }

    void combine() {
        const auto bit = [this] { return static_cast<uint32_t>(in_.below(2)); };
        switch (in_.below(5)) {
            case 0:
                apply(Op::add, {x_, earlier()});
                return;
            case 1:
                apply(Op::mul, {x_, earlier()});
                return;
            case 2:
                apply(Op::matmul, {x_, earlier()}, {bit(), bit(), in_.between(0, 12), noise()});
                return;
            case 3:
                apply(Op::matmul, {x_, weight(some_columns(), columns())}, {0, 1, 0, noise()});
                return;
            default: {
                const auto parts = static_cast<uint32_t>(in_.between(1, 6));
                apply(Op::broadcast_add,
                      {x_, {Source::Kind::zeros, Shape::matrix(parts, columns()), {}}}, {bit()});
            }
        }
    }

    /// Noise, and rows that are looked up by a random number of each sequence.
    void disturb() {
        const Source x = x_;
        switch (in_.below(3)) {
            case 0:
                apply(Op::scale, {x_}, {in_.one_of({bits_of(0.5F), bits_of(-3.0F), 0U})});
                return;
            case 1:
                if (apply(Op::noise, {x_}, {noise()})) apply(Op::add, {x_, x});
                return;
            default: {
                const uint32_t count = in_.between(2, 9);
                if (!apply(Op::timestep, {}, {noise(), count})) return;
                if (apply(Op::lookup, {x_, weight(count, x.shape.cols)}) &&
                    apply(Op::broadcast_add, {x, x_}, {0}))
                    return;
                x_ = x;
            }
        }
    }

    bool end() {
        const uint32_t due = is_text_ ? dims_.sequences * dims_.positions : dims_.sequences;
        if (in_.below(4) == 0) {
            const Source x = x_;
            return apply(Op::noise, {x_}, {noise()}) && apply(Op::mean_square, {x, x_});
        }
        if (x_.shape.count() % due != 0) return false;
        if (rows() != due &&
            !apply(Op::reshape, {x_}, {static_cast<uint32_t>(x_.shape.count() / due)}))
            return false;
        const Source targets{Source::Kind::value,
                             is_text_ ? Shape::matrix(dims_.sequences, dims_.positions)
                                      : Shape::matrix(dims_.sequences, 1),
                             GraphBuilder::targets()};
        return dense(is_text_ ? 256 : 10) && apply(Op::cross_entropy, {x_, targets});
    }

    Choices& in_;
    GraphBuilder b_;
    BatchDims dims_;
    DataSpec data_;
    Source x_;                  ///< the chain's end
    std::vector<Source> past_;  ///< results before it
    uint32_t height_ = 1, width_ = 1, names_ = 0;
    bool is_text_ = true;
};

/// Bytes as they come, but small labels.
Bytes make_data(const DataSpec& data, uint64_t seed) {
    Bytes out(data.size_bytes);
    for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<uint8_t>(philox({static_cast<uint32_t>(i), 0, 0, 0}, 5, 6)[0] >> seed);
    if (data.kind != DataKind::images) return out;
    const size_t record = data.sequence * data.channels + 2;
    for (size_t i = 0; i + record <= out.size(); i += record)
        out[i + record - 2] %= 10, out[i + record - 1] = 0;
    return out;
}

std::string root_on(Backend& backend, const Program& program, BytesView data, const Cuts& cuts) {
    auto engine = Engine::make(program, backend, data, cuts);
    if (!engine) return std::string(to_text(engine.error()));
    ModelState state = make_initial_state(program, Hash{}, data);
    std::string out;
    for (uint32_t t = 0; t < program.run.steps; ++t) {
        const auto step = run_step(*engine, state, data);
        if (!step) return out + std::string(to_text(step.error()));
        out += to_hex(step->grad_root.bytes) + (step->nonfinite ? " not finite " : " ");
    }
    return out + to_hex(state_root(state, program_id(program)).bytes);
}

void check_same(const std::string& due, const std::string& found, std::string_view who) {
    if (found != due)
        std::fprintf(stderr, "reference: %s\n%s: %s\n", due.c_str(), std::string(who).c_str(),
                     found.c_str());
    ASSERT(found == due);
}

void check_program(const Program& program, Choices& in) {
    const auto planned = plan(program);
    ASSERT(planned);
    if (planned->macs_per_micro_batch > kMacsMax) return;
    const auto decoded = decode_program(encode_program(program));
    ASSERT(decoded && *decoded == program);
    const Bytes data = make_data(program.data, in.below(8));
    static const auto reference = make_reference_backend();
    const std::string due = root_on(*reference, program, data, {});
    const Cuts cuts = cut_candidates(*derive_training_graph(program));
    for (const CpuPath path : kCpuPaths) {
        if (!cpu_has(path)) continue;
        static std::map<CpuPath, std::unique_ptr<Backend>> backends;
        auto& backend = backends[path];
        if (!backend) backend = make_cpu_backend({path, backends.size() % 2 == 0 ? 1U : 2U});
        check_same(due, root_on(*backend, program, data, {}), backend->name());
    }
    check_same(due, root_on(*reference, program, data, cuts), "with operators computed twice");
}

void fuzz_one(BytesView data) {
    Choices in(data);
    const auto program = ProgramMaker(in).make();
    if (!program) return;
    const auto valid = validate_program(*program);
    if (valid) check_program(*program, in);
}

}  // namespace
}  // namespace trainyard::training

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::training::fuzz_one({data, size});
    return 0;
}
