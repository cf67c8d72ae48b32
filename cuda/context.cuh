// SPDX-License-Identifier: Apache-2.0
// One device seen from the host: stream, scratch memory, first error and the launch of kernels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

#include "core/assert.hpp"
#include "cuda/call_graph.cuh"
#include "cuda/cuda_backend.hpp"
#include "cuda/follow.cuh"
#include "cuda/fused_rows.cuh"
#include "cuda/shared_memory.cuh"
#include "cuda/staging.cuh"
#include "training/backend.hpp"

namespace trainyard::cuda {

/// Device memory that is freed with its owner.
class DeviceMemory {
public:
    DeviceMemory() = default;
    explicit DeviceMemory(size_t bytes) {
        if (cudaMalloc(&data_, bytes) != cudaSuccess) {
            data_ = nullptr;
            static_cast<void>(cudaGetLastError());  // out of memory is no lasting error
            return;
        }
        bytes_ = bytes;
    }
    DeviceMemory(DeviceMemory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    DeviceMemory& operator=(DeviceMemory&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~DeviceMemory() {
        if (data_ != nullptr) static_cast<void>(cudaFree(data_));
    }
    [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }
    [[nodiscard]] size_t bytes() const { return bytes_; }

private:
    void* data_ = nullptr;
    size_t bytes_ = 0;
};

/// Raised by kernels, read and lowered by the host.
struct Flags {
    uint32_t nonfinite = 0;      ///< a group held an Inf or NaN
    uint32_t stuck = 0;          ///< a wait inside a kernel did not end, and the kernel gave up
    uint32_t wrong_product = 0;  ///< sums were not what the operands give: checksums.cuh
    uint32_t state_changed = 0;  ///< an update read another state than the last one left
};

/// Words in which sums of products are checked: 64 KiB, which stay in L2.
constexpr uint32_t kResidues = 1 << 14;

/// A second row of work beside the operators: its stream, its scratch memory, and the events
/// between which it runs.
struct Branch {
    cudaStream_t stream = nullptr;
    cudaEvent_t start = nullptr, done = nullptr;
    std::vector<DeviceMemory> blocks;
    size_t used = 0;
    bool is_open = false;  ///< there is work that the operators have not waited for

    Branch() = default;
    Branch(const Branch&) = delete;
    Branch& operator=(const Branch&) = delete;
    ~Branch() {
        if (stream != nullptr) static_cast<void>(cudaStreamSynchronize(stream));
        if (start != nullptr) static_cast<void>(cudaEventDestroy(start));
        if (done != nullptr) static_cast<void>(cudaEventDestroy(done));
        if (stream != nullptr) static_cast<void>(cudaStreamDestroy(stream));
    }
    /// What a failed call leaves is undefined.
    cudaError_t make() {
        cudaError_t result = cudaSuccess;
        const auto keep = [&result](auto& what, cudaError_t made) {
            if (made == cudaSuccess) return;
            what = nullptr;
            result = made;
        };
        if (stream == nullptr)
            keep(stream, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        if (result == cudaSuccess && start == nullptr)
            keep(start, cudaEventCreateWithFlags(&start, cudaEventDisableTiming));
        if (result == cudaSuccess && done == nullptr)
            keep(done, cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
        return result;
    }
};

/// After an error nothing more is launched; `take_error` tells it once, device errors for ever.
class Context {
public:
    explicit Context(int device) : device_(device) {
        check(cudaSetDevice(device_));
        check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
        if (ok())
            check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device_));
        if (ok())
            check(cudaDeviceGetAttribute(&shared_bytes_max_,
                                         cudaDevAttrMaxSharedMemoryPerBlockOptin, device_));
        flags_ = DeviceMemory(sizeof(Flags));
        if (flags_.data() == nullptr) fail(training::BackendError::out_of_memory);
        if (ok()) check(cudaMemsetAsync(flags_.data(), 0, sizeof(Flags), stream_));
    }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() {
        static_cast<void>(cudaSetDevice(device_));
        if (stream_ == nullptr) return;
        static_cast<void>(cudaStreamSynchronize(stream_));
        static_cast<void>(cudaStreamDestroy(stream_));
        if (copies_ != nullptr) static_cast<void>(cudaStreamDestroy(copies_));
    }

    [[nodiscard]] bool ok() const { return !error_; }
    /// For what is not part of an operator; operators go through `launch` and `set_bytes`.
    [[nodiscard]] cudaStream_t stream() {
        ASSERT(recording_ == nullptr);
        is_behind_kernel_ = false;
        return stream_;
    }
    /// For downloads beside the operators. Whoever puts one there waits for it.
    [[nodiscard]] cudaStream_t copies() {
        if (copies_ == nullptr) check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking));
        return copies_;
    }
    [[nodiscard]] uint32_t multiprocessors() const { return static_cast<uint32_t>(processors_); }
    /// What a block may use of shared memory.
    [[nodiscard]] size_t shared_bytes_max() const { return static_cast<size_t>(shared_bytes_max_); }
    /// What kernels tell the host; the memory of the device.
    [[nodiscard]] Flags* flags() const { return reinterpret_cast<Flags*>(flags_.data()); }
    [[nodiscard]] uint32_t* nonfinite_flag() const { return &flags()->nonfinite; }
    /// What an operator that can work in parts should stay below; another limit gives the same
    /// bits.
    [[nodiscard]] size_t scratch_bytes_max() const { return scratch_bytes_max_; }
    void set_scratch_bytes_max(size_t bytes) { scratch_bytes_max_ = bytes; }
    /// How int8 products are made; each way gives the same integers.
    [[nodiscard]] Products products() const { return products_; }
    [[nodiscard]] ProductBlocks product_blocks() const { return product_blocks_; }
    void set_products(Products products, ProductBlocks blocks = ProductBlocks::all) {
        products_ = products;
        product_blocks_ = blocks;
    }
    /// From now on the sums of products are checked.
    void check_products() {
        residues_ = DeviceMemory(kResidues * sizeof(uint32_t));
        if (residues_.data() == nullptr) return fail(training::BackendError::out_of_memory);
        set_bytes(residues_.data(), 0, residues_.bytes());
    }
    /// kResidues words, which are zero unless a product was wrong; nullptr: nothing is checked.
    [[nodiscard]] uint32_t* residues() const {
        return reinterpret_cast<uint32_t*>(residues_.data());
    }
    void fail(training::BackendError error) {
        if (!error_) error_ = error;
    }
    bool check(cudaError_t result) {
        if (result == cudaSuccess) return true;
        static_cast<void>(cudaGetLastError());
        fail(result == cudaErrorMemoryAllocation ? training::BackendError::out_of_memory
                                                 : training::BackendError::device_failed);
        return false;
    }
    std::optional<training::BackendError> take_error() {
        const auto error = error_;
        if (error == training::BackendError::out_of_memory) error_.reset();
        return error;
    }

    /// Memory that lives until `release`; nullptr when there is no room. What is released is kept
    /// for the next request of its size, so that a step allocates nothing once there has been one;
    /// it goes when the device has no room. Work under way on it comes before the work of its next
    /// owner, because operators have one stream, and copies beside it are waited for.
    [[nodiscard]] void* allocate(size_t bytes) {
        auto found = kept_.extract(bytes);
        return lend(found.empty() ? make_memory(bytes) : std::move(found.mapped()));
    }
    /// For what can be done without: nothing that is kept goes for it.
    [[nodiscard]] void* allocate_spare(size_t bytes) { return lend(DeviceMemory(bytes)); }
    void release(void* memory) {
        auto found = lent_.extract(memory);
        if (found.empty()) return;
        const size_t bytes = found.mapped().bytes();
        kept_.emplace(bytes, std::move(found.mapped()));
    }

    /// The operator waits for the next, inside `together`; else it is launched at once.
    void defer(const Waiting& w) {
        if (!is_together_) return launch_alone(*this, w);
        begin();
        waiting_ = w;
    }
    /// The operator that waits, if `wanted` says of it that the next takes it over; else none.
    template <class Wanted>
    [[nodiscard]] Waiting take_waiting(const Wanted& wanted) {
        return wanted(waiting_) ? std::exchange(waiting_, {}) : Waiting{};
    }
    /// Operators of `body`, which calls nothing else, may wait for one another.
    template <class Body>
    void together(const Body& body) {
        is_together_ = true;
        body();
        launch_waiting();
        is_together_ = false;
    }

    /// Launches `body`, one operator, beside those that follow inside `KeepBranch`; all others wait
    /// for it. What it reads must stay as it is until then.
    template <class Body>
    void beside(const Body& body) {
        begin();
        if (!ok()) return;
        if (recording_ != nullptr) return body();
        if (!check(branch_.make()) || !check(cudaEventRecord(branch_.start, stream_)) ||
            !check(cudaStreamWaitEvent(branch_.stream, branch_.start, 0)))
            return;
        const auto swap = [this] {
            is_behind_kernel_ = false;
            std::swap(stream_, branch_.stream);
            std::swap(blocks_, branch_.blocks);
            std::swap(used_, branch_.used);
        };
        swap();
        body();
        swap();
        // Without its event nobody could wait for what was started.
        branch_.is_open = cudaEventRecord(branch_.done, branch_.stream) == cudaSuccess;
        if (!branch_.is_open) check(cudaStreamSynchronize(branch_.stream));
    }
    /// Operators that leave alone what the work beside them reads.
    class KeepBranch {
    public:
        explicit KeepBranch(Context& on) : on_(on) { on_.keeps_branch_ = true; }
        KeepBranch(const KeepBranch&) = delete;
        KeepBranch& operator=(const KeepBranch&) = delete;
        ~KeepBranch() { on_.keeps_branch_ = false; }

    private:
        Context& on_;
    };

    /// Opens an operator: its scratch memory may overwrite that of the operators before it.
    void begin() {
        launch_waiting();
        if (branch_.is_open && !keeps_branch_) join_branch();
        check(cudaSetDevice(device_));
        if (blocks_.size() > 1 && recording_ == nullptr) {  // recorded launches name the old ones
            size_t total = 0;
            for (const DeviceMemory& block : blocks_) total += block.bytes();
            check(cudaStreamSynchronize(stream_));
            blocks_.clear();
            add_block(total);
        }
        used_ = 0;
    }
    /// `count` elements of scratch memory until the next `begin`, 256-byte aligned. After an
    /// error nullptr, which no kernel gets to see.
    template <class T>
    [[nodiscard]] T* take(size_t count) {
        const size_t bytes = (count * sizeof(T) + 255) / 256 * 256;
        if (blocks_.empty() || blocks_.back().bytes() - used_ < bytes) add_block(bytes);
        if (!ok()) return nullptr;
        std::byte* const at = blocks_.back().data() + used_;
        used_ += bytes;
        return reinterpret_cast<T*>(at);
    }

    /// Collects the launches of `body` in `graph` and carries them out as one.
    template <class Body>
    void record(CallGraph& graph, const Body& body) {
        {
            const KeepBranch each_operator_decides(*this);
            begin();
        }
        if (!ok()) return;
        ASSERT(recording_ == nullptr);
        recording_ = &graph;
        graph.begin();
        together(body);
        recording_ = nullptr;
        is_behind_kernel_ = false;
        if (ok()) check(graph.launch(stream_, code_follows_.value_or(false)));
    }

    void set_bytes(void* to, int value, size_t bytes) {
        if (!ok()) return;
        if (recording_ != nullptr) return recording_->add_memset(to, value, bytes);
        is_behind_kernel_ = false;
        check(cudaMemsetAsync(to, value, bytes, stream_));
    }

    /// The host's memory may change when this returns.
    void upload(void* to, const void* from_host, size_t bytes) {
        if (ok()) check(staging_.upload(to, from_host, bytes, stream()));
    }
    void download(void* to_host, const void* from, size_t bytes) {
        if (ok()) check(staging_.download(to_host, from, bytes, stream()));
    }
    /// Complete after `wait`.
    void fetch(void* to_host, const void* from, size_t bytes) {
        if (!fetches_.fits(bytes)) return download(to_host, from, bytes);
        if (ok()) check(fetches_.start(to_host, from, bytes, stream()));
    }
    void wait() {
        if (ok()) check(cudaStreamSynchronize(stream()));
        if (ok()) fetches_.finish();
        fetches_.drop();
    }

    /// How many clusters of a product's kernel take its tiles; at least 1.
    template <class... Parameters>
    [[nodiscard]] uint32_t product_clusters(void (*kernel)(Parameters...), const Launch& how) {
        return product_blocks_ == ProductBlocks::few ? 1 : clusters_at_once(kernel, how);
    }
    /// How many clusters of `kernel` the device runs at once; at least 1.
    template <class... Parameters>
    [[nodiscard]] uint32_t clusters_at_once(void (*kernel)(Parameters...), const Launch& how) {
        const auto found = clusters_.find(reinterpret_cast<void*>(kernel));
        if (found != clusters_.end()) return found->second;
        if (how.shared_bytes > kSharedBytesPlain) allow_shared_bytes(kernel);
        cudaLaunchConfig_t config = {};
        config.gridDim = how.grid;
        config.blockDim = dim3(how.threads);
        config.dynamicSmemBytes = how.shared_bytes;
        cudaLaunchAttribute cluster = how.cluster_attribute();
        config.attrs = &cluster;
        config.numAttrs = 1;
        int count = 0;
        check(cudaOccupancyMaxActiveClusters(&count, kernel, &config));
        return clusters_[reinterpret_cast<void*>(kernel)] =
                   static_cast<uint32_t>(std::max(count, 1));
    }

    template <class... Parameters, class... Arguments>
    void launch(const Launch& how, void (*kernel)(Parameters...), Arguments... arguments) {
        if (!ok() || how.grid.x == 0 || how.grid.y == 0 || how.grid.z == 0) return;
        if (how.shared_bytes > kSharedBytesPlain) allow_shared_bytes(kernel);
        if (!code_follows_) code_follows_ = does_follow(kernel);
        if (recording_ != nullptr)
            return recording_->add(how, kernel, static_cast<Parameters>(arguments)...);
        cudaLaunchConfig_t config = {};
        config.gridDim = how.grid;
        config.blockDim = dim3(how.threads);
        config.dynamicSmemBytes = how.shared_bytes;
        config.stream = stream_;
        cudaLaunchAttribute attributes[2];
        config.attrs = attributes;
        if (how.cluster > 1) attributes[config.numAttrs++] = how.cluster_attribute();
        if (*code_follows_ && is_behind_kernel_)
            attributes[config.numAttrs++] = Launch::follow_attribute();
        is_behind_kernel_ = check(cudaLaunchKernelEx(&config, kernel, arguments...));
    }

private:
    void join_branch() {
        branch_.is_open = false;
        is_behind_kernel_ = false;
        if (ok()) check(cudaStreamWaitEvent(stream_, branch_.done, 0));
    }
    void launch_waiting() {
        if (waiting_.kind != Waiting::Kind::none) launch_alone(*this, std::exchange(waiting_, {}));
    }

    /// Whether the code that this device runs waits by itself: it may be code for older ones.
    template <class... Parameters>
    [[nodiscard]] static bool does_follow(void (*kernel)(Parameters...)) {
        cudaFuncAttributes attributes = {};
        if (cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess)
            return attributes.ptxVersion >= kFollowingCode;
        static_cast<void>(cudaGetLastError());
        return false;
    }

    /// What a kernel may use of a block's shared memory without being allowed more.
    static constexpr size_t kSharedBytesPlain = size_t{48} << 10;

    /// The limit is the kernel's, for all its launches, threads and nodes of graphs: one that
    /// followed each launch would be too low for another whose turn comes later.
    template <class... Parameters>
    void allow_shared_bytes(void (*kernel)(Parameters...)) {
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   shared_bytes_max_));
    }

    void* lend(DeviceMemory memory) {
        void* const at = memory.data();
        if (at != nullptr) lent_.emplace(at, std::move(memory));
        return at;
    }

    DeviceMemory make_memory(size_t bytes) {
        DeviceMemory memory(bytes);
        if (memory.data() != nullptr || kept_.empty()) return memory;
        kept_.clear();
        return DeviceMemory(bytes);
    }

    void add_block(size_t bytes) {
        DeviceMemory block = make_memory(bytes);
        if (block.data() == nullptr) {
            fail(training::BackendError::out_of_memory);
            return;
        }
        blocks_.push_back(std::move(block));
        used_ = 0;
    }

    int device_;
    cudaStream_t stream_ = nullptr, copies_ = nullptr;
    CallGraph* recording_ = nullptr;
    Waiting waiting_;
    Branch branch_;
    bool is_together_ = false, keeps_branch_ = false;
    std::optional<bool> code_follows_;  ///< known from the first launch on, as of all kernels
    bool is_behind_kernel_ = false;     ///< what the stream was given last is a kernel
    Staging staging_;
    Fetches fetches_;
    int processors_ = 1, shared_bytes_max_ = 0;
    DeviceMemory flags_, residues_;
    std::vector<DeviceMemory> blocks_;    ///< of scratch memory
    std::map<void*, uint32_t> clusters_;  ///< by kernel
    std::map<void*, DeviceMemory> lent_;
    std::multimap<size_t, DeviceMemory> kept_;
    size_t used_ = 0;
    size_t scratch_bytes_max_ = size_t{512} << 20;
    Products products_ = Products::int8;
    ProductBlocks product_blocks_ = ProductBlocks::all;
    std::optional<training::BackendError> error_;
};

/// Blocks needed for `count` items, `per_block` in each.
[[nodiscard]] inline uint32_t blocks_for(size_t count, size_t per_block) {
    return static_cast<uint32_t>((count + per_block - 1) / per_block);
}

/// Sets words to zero. Among kernels it costs less than `set_bytes`, for whose end the launch of
/// the next has to wait.
void clear_words(Context& on, void* words, size_t count);

}  // namespace trainyard::cuda
