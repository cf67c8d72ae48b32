// SPDX-License-Identifier: Apache-2.0
// The operators of training behind one seam: reference, fast CPU paths and CUDA give the same bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "training/op.hpp"
#include "training/pool.hpp"

namespace trainyard::training {

/// How products are computed; the numbers stand in encoded programs.
enum class Recipe : uint8_t {
    rmp1 = 1,  ///< all products int8 x int8 -> int32, docs/spec/numerics.md
    fp32 = 2,  ///< products in float32, for comparison only; never accepted for pay
};

enum class BackendError {
    out_of_memory,
    wrong_product,  ///< sums that their operands do not give: nothing since the last `finish` holds
    state_changed,  ///< memory did not keep a state as an update had left it: the state is lost
    device_failed,  ///< the backend is of no further use; fall back to the reference
};

/// y (n x o) = x (n x i) * w (i x o).
struct LinearShape {
    uint32_t n = 0;
    uint32_t i = 0;
    uint32_t o = 0;
};

/// b sequences of t positions, h heads of hd columns; D = h * hd, N = b * t.
struct AttentionShape {
    uint32_t b = 0;
    uint32_t h = 0;
    uint32_t t = 0;
    uint32_t hd = 0;
    bool causal = true;  ///< position i sees positions 0 .. i only, else all t

    /// Positions that position i sees.
    [[nodiscard]] constexpr size_t seen(size_t i) const { return causal ? i + 1 : t; }
};

/// b sequences of t positions, d columns, v rows of the embedding table.
struct EmbeddingShape {
    uint32_t b = 0;
    uint32_t t = 0;
    uint32_t d = 0;
    uint32_t v = 0;
};

struct MatrixShape {
    uint32_t rows = 0;
    uint32_t cols = 0;
};

/// Which Philox words round a gradient: docs/spec/numerics.md, section 4.
struct Noise {
    uint32_t seed = 0;
    uint32_t step = 0;
    uint32_t tensor = 0;
};

struct AttentionNoise {
    uint32_t seed = 0;
    uint32_t step = 0;
    uint32_t tensor_do = 0;
    uint32_t tensor_ds = 0;
};

/// The scalars of one step of SGD with momentum.
struct SgdScalars {
    float lr = 0, clip = 1, momentum = 0;
};

/// The scalars of one AdamW step, computed once on the host (engine.hpp, adamw_scalars).
struct AdamwScalars {
    float lr = 0, clip = 1, b1 = 0, b2 = 0, o1 = 0, o2 = 0, ic1 = 0, ic2 = 0, eps = 0;
};

/// How a host backend keeps quantised operands: what the planner must know.
struct OperandMemory {
    size_t element_bytes = 1;
    bool staged = false;  ///< columns of one task are quantised first, then laid out in panels
};

struct BackendStatus {
    bool nonfinite = false;
};

struct AttentionGradInputs {
    const float* d_out = nullptr;  ///< N x D, incoming gradient
    const float* out = nullptr;    ///< N x D, result of the forward pass
    const float* stats = nullptr;  ///< (b*h*t) x 2, from the forward pass
    const float* qkv = nullptr;    ///< N x 3D
};

struct RmsNormGradInputs {
    const float* dy = nullptr;     ///< rows x cols
    const float* x = nullptr;      ///< rows x cols
    const float* r = nullptr;      ///< rows, from the forward pass
    const float* g = nullptr;      ///< cols
    const float* dx_in = nullptr;  ///< rows x cols gradient by other paths; nullptr means +0
};

struct LinearGradInputs {
    const float* dy = nullptr;  ///< n x o
    const float* x = nullptr;   ///< n x i
    const float* w = nullptr;   ///< i x o
};

struct AdamwTensors {
    float* w = nullptr;
    float* m = nullptr;
    float* v = nullptr;
    const float* g = nullptr;
    /// The clip factor that `clip_norm` left in memory of the backend, instead of the scalars'.
    const float* clip = nullptr;
};

struct StateSums;

/// One tensor of an update by AdamW or SGD; wd is +0 for tensors without decay.
struct TensorUpdate {
    AdamwTensors tensors;
    size_t count = 0;
    float wd = 0;
};

/// A list of operators that is called again and again with other numbers and other memory.
class Sequence {
public:
    Sequence() = default;
    virtual ~Sequence() = default;
    Sequence(const Sequence&) = delete;
    Sequence& operator=(const Sequence&) = delete;
    /// Calls `body`, which calls operators and nothing else of the backend. A device may carry them
    /// out together once `body` has returned.
    virtual void run(const std::function<void()>& body) { body(); }
};

/// Memory of the host that a device copies to beside its operators, as fast as it can.
class HostCopy {
public:
    HostCopy() = default;
    virtual ~HostCopy() = default;
    HostCopy(const HostCopy&) = delete;
    HostCopy& operator=(const HostCopy&) = delete;
    [[nodiscard]] virtual const void* data() const = 0;
    /// Copies what the backend's memory at `from` holds after all calls so far. It must stay as it
    /// is, and the bytes here are undefined, until `wait`.
    virtual void start(const void* from) = 0;
    /// False if there was an error, which the backend's `finish` tells.
    [[nodiscard]] virtual bool wait() = 0;
};

/// Every pointer of an operator is memory of this backend from `allocate`, or any host memory where
/// `is_host` is true; row-major. Outputs do not overlap inputs except where a
/// comment says "in place". Calls may run asynchronously, in order. Quantising a group that holds
/// an Inf or NaN, and check_finite, raise a flag which `finish` reports; after it the values are
/// without meaning. Each operator equals training/reference bit for bit: docs/spec/numerics.md.
class Backend {
public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual Recipe recipe() const = 0;
    [[nodiscard]] virtual bool is_host() const = 0;

    /// How often products came out wrong so far: on the CPU each one, which is made again at once;
    /// on a device each `finish` that told of some.
    [[nodiscard]] virtual uint64_t wrong_products() const { return 0; }

    /// True where updates look whether memory has kept the state: `adamw_all`.
    [[nodiscard]] virtual bool checks_states() const { return false; }

    /// Threads for work on the host; nullptr: only the caller's.
    [[nodiscard]] virtual Pool* pool() { return nullptr; }
    [[nodiscard]] virtual OperandMemory operand_memory() const { return {}; }

    /// Zero-filled; nullptr when there is no room. Released by `release` only.
    [[nodiscard]] virtual void* allocate(size_t bytes) = 0;
    virtual void release(void* memory) = 0;
    virtual void upload(void* to, const void* from_host, size_t bytes) = 0;
    virtual void download(void* to_host, const void* from, size_t bytes) = 0;  ///< waits
    /// A download that is complete when `finish` has returned.
    virtual void fetch(void* to_host, const void* from, size_t bytes) {
        download(to_host, from, bytes);
    }
    virtual void fill_zero(float* x, size_t count) = 0;
    /// Waits for all calls; the status since the previous `finish`, or the first error.
    [[nodiscard]] virtual Result<BackendStatus, BackendError> finish() = 0;
    /// For so many bytes; it must not outlive the backend. nullptr when there is no room, and on a
    /// host, whose memory needs no copy.
    [[nodiscard]] virtual std::unique_ptr<HostCopy> make_host_copy(size_t bytes) {
        return static_cast<void>(bytes), nullptr;
    }
    /// It must not outlive the backend.
    [[nodiscard]] virtual std::unique_ptr<Sequence> make_sequence() {
        return std::make_unique<Sequence>();
    }

    /// x[n][i] = e[tokens[n]][i] + pos[n mod t][i]; tokens[n] < v was checked by the caller.
    virtual void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                           EmbeddingShape s) = 0;
    /// de (v x d) and dpos (t x d) from d (N x d): plain sums in order of n, from +0.
    /// dpos has `t` rows; both are overwritten.
    virtual void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                                EmbeddingShape s) = 0;

    virtual void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) = 0;
    /// dx may be dx_in (in place).
    virtual void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in,
                               MatrixShape s) = 0;

    virtual void linear(float* y, const float* x, const float* w, LinearShape s) = 0;
    /// dx (n x i) and dw (i x o).
    virtual void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                             Noise noise) = 0;

    /// Products with these matrices as `w` follow, forward and backward, and they stay as they are
    /// until the next call, which may have none: a backend may quantise each once for all products.
    virtual void keep_factors(std::span<const TensorView> w) { static_cast<void>(w); }

    /// out: N x D. stats: (b*h*t) x 2, row (b*H+h)*T+i holds the maximum m and is = 1 / sum.
    virtual void attention(float* out, float* stats, const float* qkv, AttentionShape s) = 0;
    virtual void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                                AttentionNoise noise) = 0;

    virtual void add(float* y, const float* a, const float* b, size_t count) = 0;  ///< in place
    virtual void gelu(float* y, const float* u, size_t count) = 0;
    /// du = da * gelu'(u); du may be da (in place).
    virtual void gelu_grad(float* du, const float* da, const float* u, size_t count) = 0;

    /// losses: one per row of z.
    virtual void cross_entropy(float* losses, const float* z, const uint32_t* targets,
                               MatrixShape s) = 0;
    /// dz = (p - onehot) * inv_n.
    virtual void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets,
                                    MatrixShape s, float inv_n) = 0;
    /// What the two give, for a backend that reads z but once for both.
    virtual void cross_entropy_both(float* losses, float* dz, const float* z,
                                    const uint32_t* targets, MatrixShape s, float inv_n) {
        cross_entropy(losses, z, targets, s);
        cross_entropy_grad(dz, z, targets, s, inv_n);
    }

    /// out[0] = fixed-order sum of x; of squares of x.
    virtual void sum(float* out, const float* x, size_t count) = 0;
    virtual void sum_squares(float* out, const float* x, size_t count) = 0;
    /// out[k]: of tensor k.
    virtual void sums_of_squares(float* out, std::span<const TensorView> tensors) {
        for (const TensorView& t : tensors) sum_squares(out++, t.data, t.shape.count());
    }
    virtual void check_finite(const float* x, size_t count) = 0;
    /// out[0] = sqrt of the sum of `squares` in order; out[1] = what gradients of that norm are
    /// multiplied with: limit / norm if it is larger than the limit, else 1. NaN if the norm is no
    /// number or the flag is up.
    virtual void clip_norm(float* out, const float* squares, size_t count, float limit) = 0;
    /// One AdamW update of one tensor; wd is +0 for tensors without decay. In place on w, m, v,
    /// which stay as they are if `tensors.clip` holds NaN; the same holds for sgd.
    virtual void adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s,
                       float wd) = 0;
    /// One update of one tensor by SGD with momentum; v is left alone. In place on w and m.
    virtual void sgd(const AdamwTensors& tensors, size_t count, const SgdScalars& s, float wd) = 0;
    /// The same for each of `all`, whose memory does not overlap. `sums`, where not nullptr: of all
    /// tensors of the state, in memory of a backend that checks states. If what the update reads,
    /// also where it changes nothing, has other sums than are due, `finish` tells `state_changed`;
    /// what it leaves is due from then on.
    virtual void adamw_all(std::span<const TensorUpdate> all, const AdamwScalars& s,
                           StateSums* sums) {
        static_cast<void>(sums);
        for (const TensorUpdate& u : all) adamw(u.tensors, u.count, s, u.wd);
    }
    virtual void sgd_all(std::span<const TensorUpdate> all, const SgdScalars& s, StateSums* sums) {
        static_cast<void>(sums);
        for (const TensorUpdate& u : all) sgd(u.tensors, u.count, s, u.wd);
    }

    /// For each tensor the 32 bytes of the root over its tile leaves: docs/spec/numerics.md,
    /// section 16. `out` is memory of the backend, as the elements are.
    virtual void tile_roots(void* out, std::span<const TensorView> tensors) = 0;

    /// Any operator without a function of its own above: operators.hpp.
    virtual void apply(const OpCall& call) = 0;
};

/// The plain operators of training/reference, one thread; recipe rmp-1.
[[nodiscard]] std::unique_ptr<Backend> make_reference_backend();
/// Float32 products in a fixed order, for comparison runs; recipe fp32.
[[nodiscard]] std::unique_ptr<Backend> make_fp32_backend(unsigned threads = 1);

enum class CpuPath { best, scalar, neon, neondot, avx2, avxvnni, avx512 };
/// All of them but `best`, the fastest first.
inline constexpr std::array kCpuPaths{CpuPath::avx512,  CpuPath::avxvnni, CpuPath::avx2,
                                      CpuPath::neondot, CpuPath::neon,    CpuPath::scalar};
/// "avx512": the name of the path's backend.
[[nodiscard]] std::string_view to_text(CpuPath path);
[[nodiscard]] std::optional<CpuPath> cpu_path_of(std::string_view name);

struct CpuOptions {
    CpuPath path = CpuPath::best;
    unsigned threads = 1;  ///< 1..256
};

/// True if this machine has the instructions of `path`.
[[nodiscard]] bool cpu_has(CpuPath path);
/// The fast CPU backend; a path that the machine lacks falls back to the best it has.
[[nodiscard]] std::unique_ptr<Backend> make_cpu_backend(CpuOptions options);

}  // namespace trainyard::training
