// SPDX-License-Identifier: Apache-2.0
// A list of launches that the device carries out as one graph; of a list that ran before only what
// differs is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <cuda_runtime.h>

namespace trainyard::cuda {

struct Launch {
    dim3 grid;
    uint32_t threads = 256;
    size_t shared_bytes = 0;
    uint32_t cluster = 1;  ///< neighbouring blocks that run together and reach each other's memory

    [[nodiscard]] cudaLaunchAttribute cluster_attribute() const {
        cudaLaunchAttribute out = {};
        out.id = cudaLaunchAttributeClusterDimension;
        out.val.clusterDim.x = cluster;
        out.val.clusterDim.y = 1;
        out.val.clusterDim.z = 1;
        return out;
    }
    /// Its launch need not wait for the end of the kernel in front: `follow_kernel_before` does.
    [[nodiscard]] static cudaLaunchAttribute follow_attribute() {
        cudaLaunchAttribute out = {};
        out.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        out.val.programmaticStreamSerializationAllowed = 1;
        return out;
    }
};

/// The calls between `begin` and `launch`, in order. Each time they are compared with those of the
/// time before: other arguments change their node of the graph, other kernels or launch shapes
/// build it anew.
class CallGraph {
public:
    CallGraph() = default;
    CallGraph(const CallGraph&) = delete;
    CallGraph& operator=(const CallGraph&) = delete;
    /// Precondition: what was launched has ended.
    ~CallGraph() { destroy(); }

    void begin() { at_ = 0; }

    template <class... Parameters>
    void add(const Launch& how, void (*kernel)(Parameters...), const Parameters&... arguments) {
        now_.kernel = reinterpret_cast<void*>(kernel);
        now_.how = how;
        now_.arguments.clear();
        now_.sizes.clear();
        (append(&arguments, sizeof arguments), ...);
        place();
    }
    void add_memset(void* to, int value, size_t bytes) {
        if (bytes == 0) return;
        cudaMemsetParams params = {};
        params.dst = to;
        params.value = static_cast<unsigned>(value) & 0xffU;
        params.elementSize = 1;
        params.width = bytes;
        params.height = 1;
        now_.kernel = nullptr;
        now_.how = {};
        now_.arguments.clear();
        now_.sizes.clear();
        append(&params, sizeof params);
        place();
    }

    /// `code_follows`: kernels wait by themselves for the one in front of them.
    cudaError_t launch(cudaStream_t stream, bool code_follows) {
        if (at_ != calls_.size()) cut();
        if (calls_.empty()) return cudaSuccess;
        follows_ = follows_ && code_follows;
        cudaError_t ready = executable_ == nullptr ? build() : send_changes();
        if (ready != cudaSuccess && follows_) {  // perhaps for such edges: without them, then
            static_cast<void>(cudaGetLastError());
            follows_ = false;
            ready = build();
        }
        return ready == cudaSuccess ? cudaGraphLaunch(executable_, stream) : ready;
    }

private:
    struct Call {
        void* kernel = nullptr;  ///< nullptr: sets memory
        Launch how;
        std::vector<std::byte> arguments;  ///< one behind the other
        std::vector<size_t> sizes;
        cudaGraphNode_t node = nullptr;
        bool changed = false;

        [[nodiscard]] bool is_like(const Call& other) const {
            return kernel == other.kernel && how.grid.x == other.how.grid.x &&
                   how.grid.y == other.how.grid.y && how.grid.z == other.how.grid.z &&
                   how.threads == other.how.threads && how.shared_bytes == other.how.shared_bytes &&
                   how.cluster == other.how.cluster && sizes == other.sizes;
        }
    };

    void append(const void* argument, size_t bytes) {
        const size_t at = now_.arguments.size();
        now_.arguments.resize(at + bytes);
        std::memcpy(now_.arguments.data() + at, argument, bytes);
        now_.sizes.push_back(bytes);
    }

    void place() {
        if (at_ < calls_.size() && !calls_[at_].is_like(now_)) cut();
        if (at_ == calls_.size()) {
            if (executable_ != nullptr) cut();
            calls_.push_back(now_);
        } else if (calls_[at_].arguments != now_.arguments) {
            calls_[at_].arguments.swap(now_.arguments);
            calls_[at_].changed = true;
        }
        ++at_;
    }

    /// From here on the list is another one.
    void cut() {
        calls_.resize(at_);
        destroy();
    }

    void destroy() {
        if (executable_ != nullptr) static_cast<void>(cudaGraphExecDestroy(executable_));
        if (graph_ != nullptr) static_cast<void>(cudaGraphDestroy(graph_));
        executable_ = nullptr;
        graph_ = nullptr;
    }

    [[nodiscard]] static cudaMemsetParams memset_of(const Call& call) {
        cudaMemsetParams params;
        std::memcpy(&params, call.arguments.data(), sizeof params);
        return params;
    }

    [[nodiscard]] cudaKernelNodeParams kernel_of(Call& call) {
        pointers_.clear();
        std::byte* at = call.arguments.data();
        for (const size_t bytes : call.sizes) {
            pointers_.push_back(at);
            at += bytes;
        }
        cudaKernelNodeParams params = {};
        params.func = call.kernel;
        params.gridDim = call.how.grid;
        params.blockDim = dim3(call.how.threads);
        params.sharedMemBytes = static_cast<unsigned>(call.how.shared_bytes);
        params.kernelParams = pointers_.data();
        return params;
    }

    /// The launch of `to` does not wait until what `from` has written can be seen.
    cudaError_t add_following_edge(cudaGraphNode_t from, cudaGraphNode_t to) {
        cudaGraphEdgeData edge = {};
        edge.type = cudaGraphDependencyTypeProgrammatic;
        edge.from_port = cudaGraphKernelNodePortProgrammatic;
#if CUDART_VERSION >= 13000
        return cudaGraphAddDependencies(graph_, &from, &to, &edge, 1);
#else
        return cudaGraphAddDependencies_v2(graph_, &from, &to, &edge, 1);
#endif
    }

    cudaError_t add_kernel(Call& call, const Call* before) {
        const bool follows = follows_ && before != nullptr && before->kernel != nullptr;
        const size_t waits_for = before != nullptr && !follows ? 1 : 0;
        const cudaKernelNodeParams params = kernel_of(call);
        cudaError_t result = cudaGraphAddKernelNode(
            &call.node, graph_, waits_for > 0 ? &before->node : nullptr, waits_for, &params);
        if (result == cudaSuccess && follows) result = add_following_edge(before->node, call.node);
        const cudaLaunchAttribute cluster = call.how.cluster_attribute();
        if (result == cudaSuccess && call.how.cluster > 1)
            result = cudaGraphKernelNodeSetAttribute(call.node, cluster.id, &cluster.val);
        return result;
    }

    cudaError_t build() {
        cudaError_t result = cudaGraphCreate(&graph_, 0);
        const Call* before = nullptr;
        for (Call& call : calls_) {
            if (result != cudaSuccess) break;
            if (call.kernel != nullptr) {
                result = add_kernel(call, before);
            } else {
                const cudaMemsetParams params = memset_of(call);
                result = cudaGraphAddMemsetNode(&call.node, graph_,
                                                before != nullptr ? &before->node : nullptr,
                                                before != nullptr ? 1 : 0, &params);
            }
            call.changed = false;
            before = &call;
        }
        if (result == cudaSuccess) result = cudaGraphInstantiate(&executable_, graph_, 0);
        if (result != cudaSuccess) destroy();
        return result;
    }

    cudaError_t send_changes() {
        cudaError_t result = cudaSuccess;
        for (Call& call : calls_) {
            if (!call.changed || result != cudaSuccess) continue;
            if (call.kernel != nullptr) {
                const cudaKernelNodeParams params = kernel_of(call);
                result = cudaGraphExecKernelNodeSetParams(executable_, call.node, &params);
            } else {
                const cudaMemsetParams params = memset_of(call);
                result = cudaGraphExecMemsetNodeSetParams(executable_, call.node, &params);
            }
            call.changed = false;
        }
        if (result != cudaSuccess) destroy();  // nobody knows what it would carry out
        return result;
    }

    std::vector<Call> calls_;
    size_t at_ = 0;
    Call now_;
    std::vector<void*> pointers_;
    bool follows_ = true;  ///< kernels wait by themselves for those in front of them
    cudaGraph_t graph_ = nullptr;
    cudaGraphExec_t executable_ = nullptr;
};

}  // namespace trainyard::cuda
