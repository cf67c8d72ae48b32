// SPDX-License-Identifier: Apache-2.0
// The inputs of the single calls: Philox numbers, with tiny groups and zeros among them.
#include "training/operator_cases.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "training/numerics/functions.hpp"
#include "training/numerics/philox.hpp"

namespace trainyard::training {

Values make_values(uint32_t stream, size_t count, float scale) {
    Values out(count);
    PhiloxBlock block = {};
    for (size_t i = 0; i < count; ++i) {
        if (i % 4 == 0) block = philox({static_cast<uint32_t>(i / 4), stream, 0, 7}, 2026, 0);
        const auto word = static_cast<int32_t>(block[i % 4]);
        out[i] = static_cast<float>(word) * 0x1p-31F * scale;
        if (i % 11 == 5) out[i] *= 0x1p-130F;
        if (i % 13 == 7) out[i] = 0.0F;
    }
    return out;
}

namespace {

std::string text(const char* name, std::initializer_list<size_t> sizes) {
    std::string out = name;
    char separator = ' ';
    for (const size_t size : sizes) {
        out += separator + std::to_string(size);
        separator = 'x';
    }
    return out;
}

/// A row of tiny values quantises to zeros: the row in the middle.
Values make_matrix(uint32_t stream, size_t rows, size_t cols, float scale) {
    Values out = make_values(stream, rows * cols, scale);
    if (rows > 2)
        for (size_t c = 0; c < cols; ++c) out[rows / 2 * cols + c] *= 0x1p-110F;
    return out;
}

Values make_tokens(uint32_t stream, size_t count, uint32_t vocabulary) {
    Values out(count);
    for (size_t i = 0; i < count; ++i)
        out[i] = as_float(philox({static_cast<uint32_t>(i), stream, 0, 8}, 2026, 0)[0] %
                          ((i % 3 == 0) ? (vocabulary + 2) / 3 : vocabulary));
    return out;
}

const uint32_t* tokens_of(const float* values) {
    return reinterpret_cast<const uint32_t*>(values);
}

using Pointers = std::span<float* const>;

}  // namespace

OperatorCase linear_case(LinearShape s) {
    return {text("linear", {s.n, s.i, s.o}),
            {make_matrix(1, s.n, s.i, 3.0F), make_matrix(2, s.i, s.o, 0.1F)},
            {Values(size_t{s.n} * s.o)},
            [s](Backend& on, Pointers in, Pointers out) { on.linear(out[0], in[0], in[1], s); }};
}

OperatorCase linear_grad_case(LinearShape s) {
    return {text("linear_grad", {s.n, s.i, s.o}),
            {make_matrix(3, s.n, s.o, 1e-3F), make_matrix(4, s.n, s.i, 3.0F),
             make_matrix(5, s.i, s.o, 0.1F)},
            {Values(size_t{s.n} * s.i), Values(size_t{s.i} * s.o)},
            [s](Backend& on, Pointers in, Pointers out) {
                on.linear_grad(out[0], out[1], {in[0], in[1], in[2]}, s, {77, 3, 2003});
            }};
}

OperatorCase attention_case(AttentionShape s) {
    const size_t n = size_t{s.b} * s.t, d = size_t{s.h} * s.hd;
    return {text(s.causal ? "attention" : "attention_full", {s.b, s.h, s.t, s.hd}),
            {make_matrix(6, n, 3 * d, 2.0F), make_matrix(7, n, d, 1e-2F)},
            {Values(n * d), Values(n * s.h * 2), Values(n * 3 * d)},
            [s](Backend& on, Pointers in, Pointers out) {
                on.attention(out[0], out[1], in[0], s);
                on.attention_grad(out[2], {in[1], out[0], out[1], in[0]}, s, {77, 3, 2004, 2005});
            }};
}

OperatorCase embedding_case(EmbeddingShape s) {
    return {text("embedding", {s.b, s.t, s.d, s.v}),
            {make_tokens(8, size_t{s.b} * s.t, s.v), make_values(9, size_t{s.v} * s.d, 1.0F),
             make_values(10, size_t{s.t} * s.d, 1.0F)},
            {Values(size_t{s.b} * s.t * s.d)},
            [s](Backend& on, Pointers in, Pointers out) {
                on.embedding(out[0], tokens_of(in[0]), in[1], in[2], s);
            }};
}

OperatorCase embedding_grad_case(EmbeddingShape s) {
    return {
        text("embedding_grad", {s.b, s.t, s.d, s.v}),
        {make_tokens(8, size_t{s.b} * s.t, s.v), make_values(11, size_t{s.b} * s.t * s.d, 1.0F)},
        {Values(size_t{s.v} * s.d, 5.0F), Values(size_t{s.t} * s.d, 5.0F)},
        [s](Backend& on, Pointers in, Pointers out) {
            on.embedding_grad(out[0], out[1], tokens_of(in[0]), in[1], s);
        }};
}

OperatorCase rms_norm_case(MatrixShape s, bool in_place) {
    const size_t count = size_t{s.rows} * s.cols;
    return {text("rms_norm", {s.rows, s.cols}),
            {make_matrix(12, s.rows, s.cols, 4.0F), make_values(13, s.cols, 2.0F),
             make_values(14, count, 1e-2F)},
            {Values(count), Values(s.rows), make_values(15, count, 1e-2F), Values(s.cols)},
            [s, in_place](Backend& on, Pointers in, Pointers out) {
                on.rms_norm(out[0], out[1], in[0], in[1], s);
                const float* const dx_in = in_place ? out[2] : nullptr;
                on.rms_norm_grad(out[2], out[3], {in[2], in[0], out[1], in[1], dx_in}, s);
            }};
}

OperatorCase cross_entropy_case(MatrixShape s) {
    return {text("cross_entropy", {s.rows, s.cols}),
            {make_matrix(16, s.rows, s.cols, 20.0F), make_tokens(17, s.rows, s.cols)},
            {Values(s.rows), Values(size_t{s.rows} * s.cols)},
            [s](Backend& on, Pointers in, Pointers out) {
                on.cross_entropy(out[0], in[0], tokens_of(in[1]), s);
                const float inv_n = 1.0F / static_cast<float>(s.rows);
                on.cross_entropy_grad(out[1], in[0], tokens_of(in[1]), s, inv_n);
            }};
}

OperatorCase cross_entropy_both_case(MatrixShape s) {
    return {text("cross_entropy_both", {s.rows, s.cols}),
            {make_matrix(16, s.rows, s.cols, 20.0F), make_tokens(17, s.rows, s.cols)},
            {Values(s.rows), Values(size_t{s.rows} * s.cols)},
            [s](Backend& on, Pointers in, Pointers out) {
                const float inv_n = 1.0F / static_cast<float>(s.rows);
                on.cross_entropy_both(out[0], out[1], in[0], tokens_of(in[1]), s, inv_n);
            }};
}

OperatorCase sequence_case(LinearShape s, uint32_t classes) {
    const size_t inputs = size_t{s.n} * s.i, hidden = size_t{s.n} * s.o;
    const size_t logits = size_t{s.n} * classes;
    const LinearShape head{s.n, s.o, classes};
    enum In { a, b, gain, w1, w2, targets };
    enum Out { sum, norm, scale, u, y, z, losses, dz, dy, dw2, du, dx, dw1 };
    const auto body = [=](Backend& on, Pointers in, Pointers out) {
        on.add(out[sum], in[a], in[b], inputs);
        on.rms_norm(out[norm], out[scale], out[sum], in[gain], {s.n, s.i});
        on.linear(out[u], out[norm], in[w1], s);
        on.gelu(out[y], out[u], hidden);
        on.linear(out[z], out[y], in[w2], head);
        on.cross_entropy_both(out[losses], out[dz], out[z], tokens_of(in[targets]), {s.n, classes},
                              1.0F / static_cast<float>(s.n));
        on.linear_grad(out[dy], out[dw2], {out[dz], out[y], in[w2]}, head, {77, 3, 2006});
        on.gelu_grad(out[du], out[dy], out[u], hidden);
        on.linear_grad(out[dx], out[dw1], {out[du], out[norm], in[w1]}, s, {77, 3, 2007});
    };
    return {
        text("sequence", {s.n, s.i, s.o, classes}),
        {make_values(41, inputs, 2.0F), make_values(42, inputs, 1.0F), make_values(43, s.i, 2.0F),
         make_values(44, size_t{s.i} * s.o, 0.1F), make_values(45, size_t{s.o} * classes, 0.5F),
         make_tokens(46, s.n, classes)},
        {Values(inputs), Values(inputs), Values(s.n), Values(hidden), Values(hidden),
         Values(logits), Values(s.n), Values(logits), Values(hidden), Values(size_t{s.o} * classes),
         Values(hidden), Values(inputs), Values(size_t{s.i} * s.o)},
        [=](Backend& on, Pointers in, Pointers out) {
            const auto sequence = on.make_sequence();
            for (int turn = 0; turn < 2; ++turn) sequence->run([&] { body(on, in, out); });
        }};
}

OperatorCase pointwise_case(size_t count) {
    Values wide = make_values(18, count, 12.0F);
    for (size_t i = 0; i < count; i += 29) wide[i] *= 1e9F;
    return {text("add, gelu, gelu_grad", {count}),
            {std::move(wide), make_values(19, count, 1.0F)},
            {Values(count), Values(count), make_values(20, count, 1.0F)},
            [count](Backend& on, Pointers in, Pointers out) {
                on.add(out[0], in[0], in[1], count);
                on.gelu(out[1], in[0], count);
                on.gelu_grad(out[2], out[2], in[0], count);
            }};
}

OperatorCase sums_case(size_t count) {
    return {text("sum, sum_squares", {count}),
            {make_values(21, count, 1.0F)},
            {Values(1, 5.0F), Values(1, 5.0F)},
            [count](Backend& on, Pointers in, Pointers out) {
                on.sum(out[0], in[0], count);
                on.sum_squares(out[1], in[0], count);
            }};
}

OperatorCase adamw_case(size_t count, float clip, float decay) {
    Values v = make_values(24, count, 1e-6F);
    for (float& x : v) x = x < 0.0F ? -x : x;
    return {text("adamw", {count}),
            {make_values(25, count, 1e-3F)},
            {make_values(22, count, 0.1F), make_values(23, count, 1e-3F), std::move(v)},
            [=](Backend& on, Pointers in, Pointers out) {
                const AdamwScalars s{1e-3F, clip, 0.9F, 0.99F, 0.1F, 0.01F, 1.7F, 8.3F, 1e-8F};
                on.adamw({out[0], out[1], out[2], in[0]}, count, s, decay);
            }};
}

OperatorCase sgd_case(size_t count, float clip, float decay) {
    return {text("sgd", {count}),
            {make_values(27, count, 1e-3F)},
            {make_values(22, count, 0.1F), make_values(23, count, 1e-3F)},
            [=](Backend& on, Pointers in, Pointers out) {
                on.sgd({out[0], out[1], nullptr, in[0]}, count, {1e-2F, clip, 0.9F}, decay);
            }};
}

OperatorCase clip_case(uint32_t tensors, float square, float limit) {
    constexpr size_t kCount = 70;
    Values squares = make_values(28, tensors, 1.0F);
    for (float& x : squares) x = x < 0.0F ? -x : x;
    squares.back() = square;
    return {text("clip_norm", {tensors}),
            {std::move(squares), make_values(29, kCount, 1e-3F)},
            {Values(2, 5.0F), make_values(30, kCount, 0.1F), make_values(31, kCount, 1e-3F),
             Values(kCount, 1e-6F), make_values(32, kCount, 0.1F), make_values(33, kCount, 1e-3F)},
            [=](Backend& on, Pointers in, Pointers out) {
                on.clip_norm(out[0], in[0], tensors, limit);
                const float* const clip = out[0] + 1;
                const AdamwScalars adamw{1e-3F, 7.0F, 0.9F, 0.99F, 0.1F, 0.01F, 1.7F, 8.3F, 1e-8F};
                on.adamw({out[1], out[2], out[3], in[1], clip}, kCount, adamw, 0.1F);
                on.sgd({out[4], out[5], nullptr, in[1], clip}, kCount, {1e-2F, 7.0F, 0.9F}, 0.1F);
            }};
}

OperatorCase updates_case() {
    constexpr size_t kTensors = 70, kElements = 70 * 71 / 2 * 37 + 10000;
    Values v = make_values(24, kElements, 1e-6F);
    for (float& x : v) x = x < 0.0F ? -x : x;
    const Values w = make_values(22, kElements, 0.1F), m = make_values(23, kElements, 1e-3F);
    return {"updates",
            {make_values(25, kElements, 1e-3F)},
            {w, m, std::move(v), w, m, Values(kTensors, 5.0F)},
            [=](Backend& on, Pointers in, Pointers out) {
                std::vector<TensorUpdate> adamw, sgd;
                std::vector<TensorView> gradients;
                size_t at = 0;
                for (size_t k = 0; k < kTensors; ++k) {
                    // Of no element, odd in place and length, and one of several chunks.
                    const size_t count = k * 37 + (k == 50 ? 10000 : 0);
                    const float wd = k % 3 == 0 ? 0.1F : 0.0F;
                    const float* const g = in[0] + at;
                    adamw.push_back({{out[0] + at, out[1] + at, out[2] + at, g}, count, wd});
                    sgd.push_back({{out[3] + at, out[4] + at, nullptr, g}, count, wd});
                    gradients.push_back({g, Shape::vector(static_cast<uint32_t>(count))});
                    at += count;
                }
                on.adamw_all(adamw, {1e-3F, 0.7F, 0.9F, 0.99F, 0.1F, 0.01F, 1.7F, 8.3F, 1e-8F},
                             nullptr);
                on.sgd_all(sgd, {1e-2F, 0.7F, 0.9F}, nullptr);
                on.sums_of_squares(out[5], gradients);
            }};
}

OperatorCase tile_roots_case() {
    const std::vector<Shape> shapes{Shape::vector(1),          Shape::vector(1024),
                                    Shape::matrix(33, 70),     Shape::matrix(64, 96),
                                    Shape::vector(3077),       Shape::matrix(1, 31),
                                    Shape::vector(514 * 1024), Shape::matrix(95, 36)};
    size_t count = 0;
    for (const Shape& s : shapes) count += s.count();
    return {"tile_roots",
            {make_values(34, count, 1.0F)},
            {Values(shapes.size() * 8, 5.0F)},
            [=](Backend& on, Pointers in, Pointers out) {
                std::vector<TensorView> tensors;
                const float* at = in[0];
                for (const Shape& s : shapes) {
                    tensors.emplace_back(at, s);
                    at += s.count();
                }
                on.tile_roots(out[0], tensors);
            }};
}

OperatorCase general_case(const GeneralCase& c) {
    OperatorCase out{c.name, c.inputs, {}, {}};
    for (size_t i = 0; i < c.call.outputs; ++i)
        out.outputs.emplace_back(c.call.out_shape[i].count(), 5.0F);
    out.call = [call = c.call](Backend& on, Pointers in, Pointers results) {
        OpCall with = call;
        std::copy(in.begin(), in.end(), with.in.begin());
        std::copy(results.begin(), results.end(), with.out.begin());
        on.apply(with);
    };
    return out;
}

std::vector<OperatorCase> operator_cases() {
    std::vector<OperatorCase> out;
    for (const LinearShape s :
         {LinearShape{1, 1, 1},
          {3, 37, 5},
          {65, 130, 67},
          {130, 64, 131},
          {70, 300, 20},
          {140, 500, 131},
          {150, 700, 300}}) {  // several tiles and parts of a contraction on every device
        out.push_back(linear_case(s));
        out.push_back(linear_grad_case(s));
    }
    for (const AttentionShape s :
         {AttentionShape{1, 1, 1, 1},
          {2, 3, 37, 20},
          {1, 2, 66, 64},
          {1, 1, 131, 33},
          {1, 2, 40, 96},
          {1, 1, 67, 130}})  // heads of one and of several slices in a device's fast memory
        for (const bool causal : {true, false})
            out.push_back(attention_case({s.b, s.h, s.t, s.hd, causal}));
    for (const EmbeddingShape s : {EmbeddingShape{1, 1, 1, 1}, {3, 19, 33, 11}, {2, 33, 260, 70}}) {
        out.push_back(embedding_case(s));
        out.push_back(embedding_grad_case(s));
    }
    for (const MatrixShape s : {MatrixShape{1, 1}, {5, 37}, {3, 4101}, {4099, 33}}) {
        out.push_back(rms_norm_case(s, false));
        out.push_back(rms_norm_case(s, true));
    }
    for (const MatrixShape s : {MatrixShape{1, 1}, {9, 257}, {2, 8200}})
        for (const auto& make : {cross_entropy_case, cross_entropy_both_case})
            out.push_back(make(s));
    for (const size_t count : {size_t{1}, size_t{257}, size_t{1000}})
        out.push_back(pointwise_case(count));
    for (const size_t count :
         {size_t{0}, size_t{1}, size_t{31}, size_t{4096}, size_t{4097}, size_t{100003}})
        out.push_back(sums_case(count));
    out.push_back(adamw_case(515, 1.0F, 0.1F));
    out.push_back(adamw_case(33, 0.37F, 0.0F));
    out.push_back(sgd_case(515, 1.0F, 0.1F));
    out.push_back(sgd_case(33, 0.37F, 0.0F));
    for (const OperatorCase& c : {adamw_case(1030, 1.0F, 0.1F), sgd_case(1030, 1.0F, 0.1F)})
        out.push_back(with_extremes(c, 1, 9));
    out.push_back(clip_case(1, 0.25F, 1.0F));
    out.push_back(clip_case(37, 9.0F, 1.5F));
    out.push_back(updates_case());
    out.push_back(tile_roots_case());
    for (const GeneralCase& c : general_cases()) out.push_back(general_case(c));
    out.push_back(sequence_case({6, 128, 128}, 4101));
    return out;
}

namespace {

/// Memory of a backend that is released with its owner.
class Tensors {
public:
    explicit Tensors(Backend& on) : on_(on) {}
    Tensors(const Tensors&) = delete;
    Tensors& operator=(const Tensors&) = delete;
    ~Tensors() {
        for (float* const p : pointers_) on_.release(p);
    }
    /// False when there is no room.
    [[nodiscard]] bool add(const Values& values) {
        auto* const p = static_cast<float*>(on_.allocate(values.size() * sizeof(float)));
        if (p == nullptr) return false;
        pointers_.push_back(p);
        on_.upload(p, values.data(), values.size() * sizeof(float));
        return true;
    }
    [[nodiscard]] Pointers pointers() const { return pointers_; }

private:
    Backend& on_;
    std::vector<float*> pointers_;
};

std::string hex(float x) {
    const char* const digits = "0123456789abcdef";
    std::string out;
    for (int shift = 28; shift >= 0; shift -= 4) out += digits[bits_of(x) >> shift & 0xf];
    return out;
}

}  // namespace

std::string_view to_text(BackendError error) {
    switch (error) {
        case BackendError::out_of_memory:
            return "out of memory";
        case BackendError::wrong_product:
            return "a product came out wrong";
        case BackendError::state_changed:
            return "memory changed a state";
        case BackendError::device_failed:
            break;
    }
    return "the device failed";
}

namespace {

struct CaseRun {
    std::vector<Values> outputs;
    bool nonfinite = false;
};

Result<CaseRun, BackendError> run(Backend& backend, const OperatorCase& c) {
    Tensors in(backend), out(backend);
    bool fits = true;
    for (const Values& values : c.inputs) fits = fits && in.add(values);
    for (const Values& values : c.outputs) fits = fits && out.add(values);
    if (!fits) return unexpected(BackendError::out_of_memory);
    c.call(backend, in.pointers(), out.pointers());
    auto status = backend.finish();
    if (!status) return unexpected(status.error());
    CaseRun run{c.outputs, status->nonfinite};
    for (size_t i = 0; i < run.outputs.size(); ++i)
        backend.download(run.outputs[i].data(), out.pointers()[i],
                         run.outputs[i].size() * sizeof(float));
    status = backend.finish();
    if (!status) return unexpected(status.error());
    return run;
}

struct TwoRuns {
    CaseRun expected, actual;
};

Result<TwoRuns, std::string> run_both(Backend& backend, const OperatorCase& c) {
    const auto reference = make_reference_backend();
    auto expected = run(*reference, c);
    if (!expected) return unexpected(c.name + ": no memory for the reference");
    auto actual = run(backend, c);
    if (!actual) return unexpected(c.name + ": " + std::string(to_text(actual.error())));
    return TwoRuns{std::move(*expected), std::move(*actual)};
}

/// What differs first, in words.
Result<Done, std::string> compare(const std::string& name, const TwoRuns& runs,
                                  bool (*equal)(float, float)) {
    const auto& due = runs.expected.outputs;
    for (size_t k = 0; k < due.size(); ++k)
        for (size_t i = 0; i < due[k].size(); ++i) {
            const float want = due[k][i], got = runs.actual.outputs[k][i];
            if (equal(want, got)) continue;
            return unexpected(name + ": element " + std::to_string(i) + " of output " +
                              std::to_string(k) + " is " + hex(got) + " instead of " + hex(want));
        }
    return Done{};
}

}  // namespace

Result<std::vector<Values>, BackendError> run_case(Backend& backend, const OperatorCase& c) {
    auto done = run(backend, c);
    if (!done) return unexpected(done.error());
    return std::move(done->outputs);
}

Result<Done, std::string> check_case(Backend& backend, const OperatorCase& c) {
    const auto runs = run_both(backend, c);
    if (!runs) return unexpected(runs.error());
    return compare(c.name, *runs, [](float a, float b) { return bits_of(a) == bits_of(b); });
}

OperatorCase with_extremes(OperatorCase c, uint32_t stream, uint32_t every) {
    constexpr uint32_t kExtremes[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f7fffff, 0xff7fffff};
    c.name += " with extremes, stream " + std::to_string(stream);
    uint32_t i = 0;
    for (auto* const group : {&c.inputs, &c.outputs})
        for (Values& values : *group)
            for (float& x : values) {
                const auto words = philox({++i, 0, 0, 0}, stream, 27);
                if (std::isnormal(x) && words[0] % every == 0)
                    x = as_float(kExtremes[words[1] % std::size(kExtremes)]);
            }
    return c;
}

Result<Done, std::string> check_extremes(Backend& backend, const OperatorCase& c) {
    const auto runs = run_both(backend, c);
    if (!runs) return unexpected(runs.error());
    const bool due = runs->expected.nonfinite;
    if (due != runs->actual.nonfinite)
        return unexpected(c.name + (due ? ": raises no flag" : ": raises the flag"));
    if (due) return Done{};
    return compare(c.name, *runs, [](float a, float b) {
        return bits_of(a) == bits_of(b) || (std::isnan(a) && std::isnan(b));
    });
}

namespace {

/// True if an operator on values with `last` at their end raises the flag once.
Result<bool, BackendError> raises_flag(Backend& on, float last, bool product) {
    constexpr uint32_t kCount = 70;
    Values x = make_values(26, kCount, 1.0F);
    x.back() = last;
    Tensors tensors(on);
    if (!tensors.add(x) || !tensors.add(x) || !tensors.add({0.0F}) || !tensors.add({4.0F}) ||
        !tensors.add({0.0F, 0.0F}) || !tensors.add({1.0F}) || !tensors.add({0.0F}))
        return unexpected(BackendError::out_of_memory);
    float* const* const p = tensors.pointers().data();
    if (product)
        on.linear(p[2], p[0], p[1], {1, kCount, 1});
    else
        on.check_finite(p[0], kCount);
    on.clip_norm(p[4], p[3], 1, 10.0F);  // of another norm: the flag alone stops the update
    on.sgd({p[5], p[6], nullptr, p[3], p[4] + 1}, 1, {0.5F, 1.0F, 0.0F}, 0.0F);
    float factor = 0, weight = 0;
    on.fetch(&factor, p[4] + 1, sizeof factor);
    on.fetch(&weight, p[5], sizeof weight);
    const auto first = on.finish();
    const auto second = on.finish();
    if (!first || !second) return unexpected((first ? second : first).error());
    return first->nonfinite && !second->nonfinite && is_nonfinite(factor) && weight == 1.0F;
}

}  // namespace

Result<Done, std::string> check_flags(Backend& backend) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
    for (const bool product : {false, true})
        for (const float last : {1.0F, std::numeric_limits<float>::max(), -kInf, kNan}) {
            const std::string name = product ? "flag of linear" : "check_finite";
            const auto raised = raises_flag(backend, last, product);
            if (!raised) return unexpected(name + ": " + std::string(to_text(raised.error())));
            if (*raised != is_nonfinite(last)) return unexpected(name + " with " + hex(last));
        }
    return Done{};
}

}  // namespace trainyard::training
