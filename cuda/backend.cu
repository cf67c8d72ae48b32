// SPDX-License-Identifier: Apache-2.0
// The seam's operators on one device, in the order of one stream; errors wait for `finish`.
#include <algorithm>
#include <optional>

#include "cuda/checksums.cuh"
#include "cuda/cuda_backend.hpp"
#include "cuda/factors.cuh"
#include "cuda/link_end.hpp"
#include "cuda/operators.cuh"
#include "cuda/products.cuh"

namespace trainyard::cuda {

namespace {

using namespace training;

/// From the second time on the operators are carried out as one graph. The first time brings
/// scratch memory to its size, and what runs only once is not worth a graph.
class GraphSequence final : public Sequence {
public:
    explicit GraphSequence(Context& on) : on_(on) {}
    GraphSequence(const GraphSequence&) = delete;
    GraphSequence& operator=(const GraphSequence&) = delete;
    ~GraphSequence() override { on_.wait(); }
    void run(const std::function<void()>& body) override {
        if (std::exchange(ran_before_, true)) return on_.record(graph_, body);
        on_.together(body);
    }

private:
    Context& on_;
    CallGraph graph_;
    bool ran_before_ = false;
};

/// A copy on the stream of copies, between two events.
class PinnedCopy final : public HostCopy {
public:
    PinnedCopy(Context& on, size_t bytes) : on_(on), bytes_(bytes) {
        on_.begin();
        on_.check(cudaEventCreateWithFlags(&before_, cudaEventDisableTiming));
        on_.check(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming));
        if (cudaMallocHost(&memory_, bytes) == cudaSuccess) return;
        memory_ = nullptr;
        static_cast<void>(cudaGetLastError());  // out of memory is no lasting error
    }
    PinnedCopy(const PinnedCopy&) = delete;
    PinnedCopy& operator=(const PinnedCopy&) = delete;
    ~PinnedCopy() override {
        if (done_ != nullptr) static_cast<void>(cudaEventSynchronize(done_));
        if (memory_ != nullptr) static_cast<void>(cudaFreeHost(memory_));
        if (done_ != nullptr) static_cast<void>(cudaEventDestroy(done_));
        if (before_ != nullptr) static_cast<void>(cudaEventDestroy(before_));
    }
    [[nodiscard]] bool ok() const { return memory_ != nullptr; }
    [[nodiscard]] const void* data() const override { return memory_; }
    void start(const void* from) override {
        on_.begin();
        const cudaStream_t copies = on_.copies();
        if (!on_.ok()) return;
        const bool is_started =
            on_.check(cudaEventRecord(before_, on_.stream())) &&
            on_.check(cudaStreamWaitEvent(copies, before_, 0)) &&
            on_.check(cudaMemcpyAsync(memory_, from, bytes_, cudaMemcpyDeviceToHost, copies));
        // Without its event nobody could wait for what was started.
        if (is_started && !on_.check(cudaEventRecord(done_, copies)))
            static_cast<void>(cudaStreamSynchronize(copies));
    }
    [[nodiscard]] bool wait() override {
        on_.begin();
        return on_.ok() && on_.check(cudaEventSynchronize(done_));
    }

private:
    Context& on_;
    size_t bytes_;
    void* memory_ = nullptr;
    cudaEvent_t before_ = nullptr, done_ = nullptr;
};

class CudaBackend final : public Backend, public LinkEnd {
public:
    CudaBackend(DeviceInfo info, Products products, ProductBlocks blocks, unsigned host_threads,
                bool checks)
        : info_(std::move(info)), host_threads_(host_threads), on_(info_.index) {
        on_.set_products(products, blocks);
        if (checks && on_.ok()) on_.check_products();
    }
    [[nodiscard]] bool ok() const { return on_.ok(); }

    [[nodiscard]] std::string name() const override {
        const char* const checks = on_.residues() != nullptr ? ", checksums" : "";
        return "cuda " + info_.name + " (" + std::string(to_text(on_.products())) + checks + ")";
    }
    [[nodiscard]] Recipe recipe() const override { return Recipe::rmp1; }
    [[nodiscard]] bool is_host() const override { return false; }
    [[nodiscard]] Pool* pool() override {
        if (!pool_) pool_.emplace(host_threads_);  // training alone has no use for it
        return &*pool_;
    }

    [[nodiscard]] uint64_t wrong_products() const override { return wrong_; }
    [[nodiscard]] bool checks_states() const override { return on_.residues() != nullptr; }

    [[nodiscard]] std::string device_id() const override { return info_.uuid; }
    [[nodiscard]] void* open_stream() override {
        on_.begin();
        return on_.ok() ? on_.stream() : nullptr;
    }
    void fail_device() override { on_.fail(BackendError::device_failed); }

    [[nodiscard]] void* allocate(size_t bytes) override;
    void release(void* memory) override;
    void upload(void* to, const void* from_host, size_t bytes) override;
    void download(void* to_host, const void* from, size_t bytes) override;
    void fetch(void* to_host, const void* from, size_t bytes) override;
    [[nodiscard]] std::unique_ptr<HostCopy> make_host_copy(size_t bytes) override {
        auto out = std::make_unique<PinnedCopy>(on_, bytes);
        return on_.ok() && out->ok() ? std::move(out) : nullptr;
    }
    void fill_zero(float* x, size_t count) override {
        on_.begin();
        on_.set_bytes(x, 0, count * sizeof(float));
    }
    [[nodiscard]] std::unique_ptr<Sequence> make_sequence() override {
        return std::make_unique<GraphSequence>(on_);
    }
    [[nodiscard]] Result<BackendStatus, BackendError> finish() override;

    void embedding(float* x, const uint32_t* tokens, const float* e, const float* pos,
                   EmbeddingShape s) override {
        cuda::embedding(on_, x, tokens, e, pos, s);
    }
    void embedding_grad(float* de, float* dpos, const uint32_t* tokens, const float* d,
                        EmbeddingShape s) override {
        cuda::embedding_grad(on_, de, dpos, tokens, d, s);
    }
    void rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) override;
    void rms_norm_grad(float* dx, float* dg, const RmsNormGradInputs& in, MatrixShape s) override {
        cuda::rms_norm_grad(on_, dx, dg, in, s);
    }
    void keep_factors(std::span<const TensorView> w) override { factors_.keep(w); }
    void linear(float* y, const float* x, const float* w, LinearShape s) override;
    void linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                     Noise noise) override;
    void attention(float* out, float* stats, const float* qkv, AttentionShape s) override {
        cuda::attention(on_, out, stats, qkv, s);
    }
    void attention_grad(float* dqkv, const AttentionGradInputs& in, AttentionShape s,
                        AttentionNoise noise) override {
        cuda::attention_grad(on_, dqkv, in, s, noise);
    }
    void add(float* y, const float* a, const float* b, size_t count) override {
        on_.defer({.kind = Waiting::Kind::add, .y = y, .count = count, .a = a, .b = b});
    }
    void gelu(float* y, const float* u, size_t count) override {
        on_.defer({.kind = Waiting::Kind::gelu, .y = y, .count = count, .a = u});
    }
    void gelu_grad(float* du, const float* da, const float* u, size_t count) override {
        on_.defer({.kind = Waiting::Kind::gelu_grad, .y = du, .count = count, .a = da, .b = u});
    }
    void cross_entropy(float* losses, const float* z, const uint32_t* targets,
                       MatrixShape s) override {
        cuda::cross_entropy(on_, losses, z, targets, s);
    }
    void cross_entropy_grad(float* dz, const float* z, const uint32_t* targets, MatrixShape s,
                            float inv_n) override {
        cross_entropy_both(nullptr, dz, z, targets, s, inv_n);
    }
    void cross_entropy_both(float* losses, float* dz, const float* z, const uint32_t* targets,
                            MatrixShape s, float inv_n) override {
        on_.defer({.kind = Waiting::Kind::loss,
                   .y = dz,
                   .count = size_t{s.rows} * s.cols,
                   .a = z,
                   .s = s,
                   .losses = losses,
                   .targets = targets,
                   .inv_n = inv_n});
    }
    void sum(float* out, const float* x, size_t count) override { cuda::sum(on_, out, x, count); }
    void sum_squares(float* out, const float* x, size_t count) override {
        cuda::sum_squares(on_, out, x, count);
    }
    void sums_of_squares(float* out, std::span<const TensorView> tensors) override {
        const Context::KeepBranch reads_only(on_);
        cuda::sums_of_squares(on_, out, tensors);
    }
    void check_finite(const float* x, size_t count) override { cuda::check_finite(on_, x, count); }
    void clip_norm(float* out, const float* squares, size_t count, float limit) override {
        const Context::KeepBranch reads_only(on_);
        on_.begin();
        settle_sums(on_);  // nothing is updated by a gradient of a wrong product
        cuda::clip_norm(on_, out, squares, count, limit);
    }
    void adamw(const AdamwTensors& tensors, size_t count, const AdamwScalars& s,
               float wd) override {
        const TensorUpdate all[] = {{tensors, count, wd}};
        cuda::adamw_all(on_, all, s, nullptr);
    }
    void adamw_all(std::span<const TensorUpdate> all, const AdamwScalars& s,
                   StateSums* sums) override {
        update(all, [&] { cuda::adamw_all(on_, all, s, sums); });
    }
    void sgd(const AdamwTensors& tensors, size_t count, const SgdScalars& s, float wd) override {
        const TensorUpdate all[] = {{tensors, count, wd}};
        cuda::sgd_all(on_, all, s, nullptr);
    }
    void sgd_all(std::span<const TensorUpdate> all, const SgdScalars& s, StateSums* sums) override {
        update(all, [&] { cuda::sgd_all(on_, all, s, sums); });
    }
    void tile_roots(void* out, std::span<const TensorView> tensors) override {
        hashed_.assign(tensors.begin(), tensors.end());
        on_.beside([&] { cuda::tile_roots(on_, out, tensors); });
    }
    void apply(const OpCall& call) override { cuda::apply(on_, call); }

private:
    /// An update of weights may run beside the hashing of gradients, but not of what it changes.
    template <class Body>
    void update(std::span<const TensorUpdate> all, const Body& body) {
        const bool is_safe = std::none_of(all.begin(), all.end(), [this](const TensorUpdate& u) {
            const AdamwTensors& t = u.tensors;
            return is_hashed(t.w, u.count) || is_hashed(t.m, u.count) || is_hashed(t.v, u.count);
        });
        if (!is_safe) return body();
        const Context::KeepBranch leaves_it_alone(on_);
        body();
    }
    [[nodiscard]] bool is_hashed(const float* x, size_t count) const {
        return std::any_of(hashed_.begin(), hashed_.end(), [=](const TensorView& t) {
            return x < t.data + t.shape.count() && t.data < x + count;
        });
    }
    [[nodiscard]] Operand rows_of_input(const float* x, LinearShape s, Layout layout);

    DeviceInfo info_;
    unsigned host_threads_;
    std::optional<Pool> pool_;
    Context on_;
    Factors factors_{on_};
    std::vector<TensorView> hashed_;  ///< last
    uint64_t wrong_ = 0;              ///< times that `finish` told of
};

void* CudaBackend::allocate(size_t bytes) {
    on_.begin();
    if (!on_.ok()) return nullptr;
    void* const memory = on_.allocate(bytes > 0 ? bytes : 1);
    if (memory != nullptr) on_.set_bytes(memory, 0, bytes);
    return memory;
}

void CudaBackend::release(void* memory) {
    if (memory != nullptr) on_.release(memory);
}

void CudaBackend::upload(void* to, const void* from_host, size_t bytes) {
    on_.begin();
    on_.upload(to, from_host, bytes);
}

void CudaBackend::download(void* to_host, const void* from, size_t bytes) {
    on_.begin();
    on_.download(to_host, from, bytes);
}

void CudaBackend::fetch(void* to_host, const void* from, size_t bytes) {
    on_.begin();
    on_.fetch(to_host, from, bytes);
}

Result<BackendStatus, BackendError> CudaBackend::finish() {
    on_.begin();
    settle_sums(on_);
    Flags flags;
    on_.fetch(&flags, on_.flags(), sizeof flags);
    on_.set_bytes(on_.flags(), 0, sizeof flags);
    on_.wait();
    if (on_.ok() && flags.stuck != 0) on_.fail(BackendError::device_failed);
    if (const auto error = on_.take_error()) return unexpected(*error);
    if (flags.state_changed != 0) return unexpected(BackendError::state_changed);
    if (flags.wrong_product != 0) {
        ++wrong_;
        return unexpected(BackendError::wrong_product);
    }
    return BackendStatus{flags.nonfinite != 0};
}

void CudaBackend::rms_norm(float* y, float* r, const float* x, const float* g, MatrixShape s) {
    const size_t count = size_t{s.rows} * s.cols;
    Waiting norm{
        .kind = Waiting::Kind::norm, .y = y, .count = count, .a = x, .r = r, .g = g, .s = s};
    const Waiting sum = on_.take_waiting([&](const Waiting& w) { return takes_over(norm, w); });
    if (sum.kind != Waiting::Kind::none) {
        norm.kind = Waiting::Kind::add_norm;
        norm.a = sum.a, norm.b = sum.b, norm.sum = sum.y;
    }
    on_.defer(norm);
}

/// x by rows, with the operator that waits to make x, if there is one.
Operand CudaBackend::rows_of_input(const float* x, LinearShape s, Layout layout) {
    const Waiting before = on_.take_waiting([&](const Waiting& w) {
        return w.y == x && w.count == size_t{s.n} * s.i && fuses(w, s.i);
    });
    on_.begin();
    if (before.kind == Waiting::Kind::none)
        return quantise_rows(on_, 1, {x, s.n, s.i, s.i, {}}, {}, layout);
    const Operand out = take_operand(on_, 1, s.n, s.i, layout);
    launch_and_quantise(on_, before, s.i, out);
    return out;
}

void CudaBackend::linear(float* y, const float* x, const float* w, LinearShape s) {
    const Layout layout = product_layout(on_, s.n, s.o);
    const Operand left = rows_of_input(x, s, layout);
    multiply(on_, 1, left, factors_.by_columns(w, s), {y, s.o, {}});
}

/// With the operator that waits to make dy, if there is one: it leaves the maxima.
void CudaBackend::linear_grad(float* dx, float* dw, const LinearGradInputs& in, LinearShape s,
                              Noise noise) {
    const Waiting before = on_.take_waiting([&](const Waiting& w) {
        return w.y == in.dy && w.count == size_t{s.n} * s.o && leaves_maxima(on_, w, s.o);
    });
    on_.begin();
    const Source dy{in.dy, s.n, s.o, s.o, {}}, x{in.x, s.n, s.i, s.i, {}};
    const Maxima amax = take_maxima(on_, 1, s.n, s.o);
    if (before.kind == Waiting::Kind::none)
        find_maxima(on_, 1, dy, amax);
    else
        launch_with_maxima(on_, before, s.o, amax);
    const Words words{noise.seed, noise.step, noise.tensor, true, 0};
    const Layout of_dx = product_layout(on_, s.n, s.i), of_dw = product_layout(on_, s.i, s.o);
    const BothWays both = quantise_both(on_, 1, dy, words, {of_dx, of_dw}, amax);
    multiply(on_, 1, both.rows, factors_.by_rows(in.w, s), {dx, s.i, {}});
    const Operand by_input = quantise_cols(on_, 1, x, of_dw);
    multiply(on_, 1, by_input, both.cols, {dw, s.o, {}});
}

std::string text_of(cudaError_t error) {
    return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
}

/// Devices of compute capability 8.0 or later have the int8 product that the kernels use.
constexpr int kMajorMin = 8;

struct Found {
    std::vector<DeviceInfo> devices;
    std::string reason;  ///< why there are none
};

Found find_devices() {
    Found found;
    int count = 0;
    const cudaError_t listed = cudaGetDeviceCount(&count);
    if (listed != cudaSuccess) {
        static_cast<void>(cudaGetLastError());
        found.reason = "no CUDA device (" + text_of(listed) + ")";
        return found;
    }
    int driver = 0, runtime = 0;
    static_cast<void>(cudaDriverGetVersion(&driver));
    static_cast<void>(cudaRuntimeGetVersion(&runtime));
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp p = {};
        if (cudaGetDeviceProperties(&p, i) != cudaSuccess || p.major < kMajorMin) continue;
        found.devices.push_back({i, p.name, p.totalGlobalMem, p.major, p.minor, driver, runtime,
                                 std::string(p.uuid.bytes, sizeof p.uuid.bytes),
                                 p.ECCEnabled != 0});
    }
    if (found.devices.empty())
        found.reason =
            "no CUDA device of compute capability 8.0 or later among " + std::to_string(count);
    return found;
}

}  // namespace

std::vector<DeviceInfo> cuda_devices() {
    return find_devices().devices;
}

std::string cuda_unavailable() {
    return find_devices().reason;
}

std::vector<Products> cuda_products(int device) {
    for (const DeviceInfo& info : find_devices().devices) {
        if (info.index != device) continue;
        static_cast<void>(cudaSetDevice(device));  // whose code is asked for
        return products_of(info.major, info.minor);
    }
    return {};
}

std::unique_ptr<training::Backend> make_cuda_backend(int device, std::string* reason,
                                                     Products products, ProductBlocks blocks,
                                                     unsigned host_threads, Checksums checksums) {
    const Found found = find_devices();
    std::string why = found.reason;
    for (const DeviceInfo& info : found.devices) {
        if (info.index != device) continue;
        const auto all = cuda_products(info.index);
        if (products == Products::fastest) products = all.front();
        const bool has_code = std::find(all.begin(), all.end(), products) != all.end();
        why = info.name + (has_code
                               ? " cannot be opened: another program may hold it or its memory"
                               : " has no products by warpgroups, or this program no code for it");
        if (!has_code) break;
        const bool checks = checksums == Checksums::always ||
                            (checksums == Checksums::where_no_ecc && !info.has_ecc);
        auto backend = std::make_unique<CudaBackend>(info, products, blocks, host_threads, checks);
        if (backend->ok()) return backend;
    }
    if (reason != nullptr)
        *reason = why.empty() ? "no usable CUDA device number " + std::to_string(device) : why;
    return nullptr;
}

}  // namespace trainyard::cuda
