// SPDX-License-Identifier: Apache-2.0
// The part of the CUDA language and runtime that cuda/ uses, for an ordinary C++ compiler.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "machine.hpp"
#include "streams.hpp"

// Words of the CUDA language that C++ lacks; they name no memory space and no launch here.
#define __global__
#define __host__
#define __device__
#define __shared__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

extern emulated::Index threadIdx, blockIdx, blockDim, gridDim;

struct dim3 : emulated::Index {
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : emulated::Index{x_, y_, z_} {}
};

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

namespace emulated {
/// Whatever NaN the host makes, a device has this one.
inline float result(float x) {
    return x == x ? x : std::bit_cast<float>(0x7fffffffU);
}
}  // namespace emulated

inline float __fadd_rn(float a, float b) {
    return emulated::result(a + b);
}
inline float __fsub_rn(float a, float b) {
    return emulated::result(a - b);
}
inline float __fmul_rn(float a, float b) {
    return emulated::result(a * b);
}
inline float __fdiv_rn(float a, float b) {
    return emulated::result(a / b);
}
inline float __fsqrt_rn(float a) {
    return emulated::result(std::sqrt(a));
}
inline float __fmaf_rn(float a, float b, float c) {
    return emulated::result(std::fma(a, b, c));
}
inline float __uint_as_float(unsigned bits) {
    return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __int2float_rn(int x) {
    return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
/// A device saturates and turns NaN into 0.
inline int __float2int_rn(float x) {
    if (x != x) return 0;
    if (x >= 2147483648.0F) return INT32_MAX;
    if (x < -2147483648.0F) return INT32_MIN;
    return static_cast<int>(std::nearbyint(x));
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return static_cast<unsigned>((uint64_t{high} << 32 | low) >> by % 32);
}
/// Byte i of the result is the one of (high, low) that nibble i of `order` names.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned order) {
    const uint64_t bytes = uint64_t{high} << 32 | low;
    unsigned out = 0;
    for (unsigned i = 0; i < 4; ++i)
        out |= static_cast<unsigned>(bytes >> 8 * (order >> 4 * i & 7) & 0xff) << 8 * i;
    return out;
}
inline int __dp4a(int a, int b, int sum) {
    for (int byte = 0; byte < 32; byte += 8)
        sum += static_cast<signed char>(a >> byte) * static_cast<signed char>(b >> byte);
    return sum;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(uint64_t{a} * b >> 32);
}

inline void __syncthreads() {
    emulated::wait_block();
}

inline void __syncwarp() {
    static_cast<void>(emulated::exchange(nullptr, 0, 1));
}

namespace emulated {
template <class T>
T from_lane(const T& mine, unsigned lane, unsigned kind) {
    const std::byte* const slots = exchange(&mine, sizeof mine, kind);
    T out;
    std::memcpy(&out, slots + lane * kSlotBytes, sizeof out);
    return out;
}
}  // namespace emulated

template <class T>
T __shfl_down_sync(unsigned, T x, unsigned distance) {
    const unsigned lane = threadIdx.x % 32;
    return emulated::from_lane(x, lane + distance < 32 ? lane + distance : lane, 2 + distance);
}
template <class T>
T __shfl_xor_sync(unsigned, T x, unsigned mask) {
    return emulated::from_lane(x, threadIdx.x % 32 ^ mask, 64 + mask);
}
template <class T>
T __shfl_sync(unsigned, T x, unsigned lane) {
    return emulated::from_lane(x, lane % 32, 128);
}

inline bool __all_sync(unsigned, bool predicate) {
    const std::byte* const slots = emulated::exchange(&predicate, 1, emulated::kVoteAll);
    bool all = true;
    for (size_t i = 0; i < 32; ++i) all = all && slots[i * emulated::kSlotBytes] != std::byte{0};
    return all;
}
inline bool __any_sync(unsigned, bool predicate) {
    const std::byte* const slots = emulated::exchange(&predicate, 1, emulated::kVoteAny);
    bool any = false;
    for (size_t i = 0; i < 32; ++i) any = any || slots[i * emulated::kSlotBytes] != std::byte{0};
    return any;
}
inline long long clock64() {
    return emulated::clock();
}

inline unsigned atomicOr(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at |= x;
    return before;
}
inline int atomicAdd(int* at, int x) {
    const int before = *at;
    *at += x;
    return before;
}
inline unsigned atomicAdd(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at += x;
    return before;
}
inline unsigned atomicMax(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at = x > before ? x : before;
    return before;
}
inline unsigned atomicMin(unsigned* at, unsigned x) {
    const unsigned before = *at;
    *at = x < before ? x : before;
    return before;
}

/// Of maxima that other blocks raise from zero meanwhile, its one use: one load in three comes
/// before any of that.
template <class T>
T __ldcg(const T* at) {
    thread_local unsigned loads = 0;
    return ++loads % 3 != 0 ? *at : T{};
}

enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount, cudaDevAttrMaxSharedMemoryPerBlockOptin };
#define CUDART_VERSION 13000
constexpr unsigned cudaStreamNonBlocking = 1;
constexpr unsigned cudaEventDisableTiming = 2;
using cudaStream_t = emulated::Stream*;
using cudaEvent_t = emulated::Event*;

struct cudaUUID_t {
    char bytes[16] = {};
};
struct cudaDeviceProp {
    char name[64] = "emulated";
    cudaUUID_t uuid;
    size_t totalGlobalMem = size_t{1} << 30;
    int major = 8, minor = 0;
    int ECCEnabled = 1;
};
enum cudaLaunchAttributeID {
    cudaLaunchAttributeClusterDimension,
    cudaLaunchAttributeProgrammaticStreamSerialization
};
union cudaLaunchAttributeValue {
    struct {
        unsigned x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    cudaLaunchAttributeValue val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes = 0;
    cudaStream_t stream = nullptr;
    cudaLaunchAttribute* attrs = nullptr;
    unsigned numAttrs = 0;
};

template <class Kernel>
cudaError_t cudaOccupancyMaxActiveClusters(int* count, Kernel, const cudaLaunchConfig_t* config) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *count = emulated::kMultiprocessors / static_cast<int>(config->attrs->val.clusterDim.x);
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int* count) {
    *count = emulated::devices();
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
    *p = {};
    p->uuid.bytes[15] = static_cast<char>(device);
    if (emulated::is_hopper()) p->major = 9;
    p->ECCEnabled = emulated::faults().has_ecc ? 1 : 0;
    return cudaSuccess;
}
namespace emulated {
constexpr size_t kSharedBytesPlain = 48 << 10;
/// The smallest of the compiled architectures is 12.0.
inline size_t shared_bytes_max() {
    return is_hopper() ? 227 << 10 : 99 << 10;
}
/// What each kernel was allowed last; plain if never.
[[nodiscard]] inline size_t& shared_bytes_allowed(void* kernel) {
    static std::map<void*, size_t> all;
    return all.try_emplace(kernel, kSharedBytesPlain).first->second;
}
}  // namespace emulated

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
    *value = attribute == cudaDevAttrMultiProcessorCount
                 ? emulated::kMultiprocessors
                 : static_cast<int>(emulated::shared_bytes_max());
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= emulated::devices()) return cudaErrorInvalidValue;
    emulated::current_device() = device;
    return cudaSuccess;
}
inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
inline const char* cudaGetErrorName(cudaError_t) {
    return "error";
}
inline const char* cudaGetErrorString(cudaError_t) {
    return "of the emulated device";
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *stream = new emulated::Stream;
    ++emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    --emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    ++emulated::traffic().waits;
    return stream->finish();
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *event = new emulated::Event;
    ++emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    --emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *event = {stream, stream->length()};
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return event->wait();
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    stream->put([point = *event] { return point.wait(); });
    return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** memory, size_t bytes) {
    *memory = reinterpret_cast<void*>(8);  // what a call leaves that fails
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *memory = ::operator new(bytes);
    ++emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* memory) {
    ::operator delete(memory);
    --emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** memory, size_t bytes) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *memory = emulated::allocate(bytes);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* memory) {
    emulated::finish_streams();
    emulated::release(memory);
    return cudaSuccess;
}
namespace emulated {
inline cudaError_t set_memory(void* to, int value, size_t bytes) {
    const DeviceAccess access;
    std::memset(to, value, bytes);
    return cudaSuccess;
}
}  // namespace emulated
inline cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    stream->put([=] { return emulated::set_memory(to, value, bytes); });
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t stream) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    stream->put([=] {
        const emulated::DeviceAccess access;
        if (bytes > 0) std::memcpy(to, from, bytes);
        return cudaSuccess;
    });
    (kind == cudaMemcpyHostToDevice ? emulated::traffic().up : emulated::traffic().down) += bytes;
    return cudaSuccess;
}

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int bytes) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    if (static_cast<size_t>(bytes) > emulated::shared_bytes_max()) return cudaErrorInvalidValue;
    emulated::shared_bytes_allowed(reinterpret_cast<void*>(kernel)) = static_cast<size_t>(bytes);
    return cudaSuccess;
}

struct cudaFuncAttributes {
    int numRegs = 0, ptxVersion = 0;
};
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel*) {
    attributes->numRegs = 255;
    attributes->ptxVersion = emulated::is_hopper() ? 90 : 80;
    return cudaSuccess;
}

namespace emulated {
[[nodiscard]] inline bool is_launch(const Shape& shape, void* kernel) {
    const Index& grid = shape.grid;
    const bool is_cluster = shape.cluster <= kClusterMax && grid.x % shape.cluster == 0 &&
                            shape.threads % 32 == 0 && is_hopper();
    return (shape.cluster == 1 || is_cluster) && shape.threads <= 1024 && grid.x <= INT32_MAX &&
           grid.y <= 65535 && grid.z <= 65535 && shape.shared_bytes <= shared_bytes_max() &&
           shape.shared_bytes <= shared_bytes_allowed(kernel);
}

/// As its launches may overlap, every thread of a kernel has to wait for the kernel before.
inline void run_kernel(const Shape& shape, const std::function<void()>& thread) {
    const size_t before = followers();
    run(shape, thread);
    const Index& grid = shape.grid;
    if (followers() - before != size_t{grid.x} * grid.y * grid.z * shape.threads)
        stop("a thread does not follow the kernel before, or twice");
}

/// A kernel without its type, as graphs take it: `bind` copies arguments of its parameters' types.
using Bind = std::function<std::function<void()>(void** arguments)>;
[[nodiscard]] inline std::map<void*, Bind>& known_kernels() {
    static std::map<void*, Bind> all;
    return all;
}
template <class... Parameters>
void know_kernel(void (*kernel)(Parameters...)) {
    known_kernels().try_emplace(reinterpret_cast<void*>(kernel), [kernel](void** arguments) {
        std::tuple<Parameters...> copies;
        std::apply([&](auto&... copy) { (std::memcpy(&copy, *arguments++, sizeof copy), ...); },
                   copies);
        return std::function<void()>([kernel, copies] { std::apply(kernel, copies); });
    });
}
/// Empty for a kernel that was never launched by itself.
[[nodiscard]] inline std::function<void()> bind_kernel(void* kernel, void** arguments) {
    const auto found = known_kernels().find(kernel);
    return found == known_kernels().end() ? nullptr : found->second(arguments);
}
}  // namespace emulated

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* how, void (*kernel)(Parameters...),
                               Arguments... arguments) {
    if (emulated::faults().launches_fail) return cudaErrorLaunchFailure;
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    unsigned cluster = 1;
    for (unsigned i = 0; i < how->numAttrs; ++i) {
        const cudaLaunchAttribute& attribute = how->attrs[i];
        if (attribute.id == cudaLaunchAttributeClusterDimension)
            cluster = attribute.val.clusterDim.x;
        else if (!emulated::is_hopper() || !how->stream->ends_with_kernel())
            return cudaErrorInvalidValue;
        else
            ++emulated::traffic().overlaps;
    }
    const emulated::Shape shape{how->gridDim, how->blockDim.x, how->dynamicSmemBytes, cluster};
    if (!emulated::is_launch(shape, reinterpret_cast<void*>(kernel)))
        return cudaErrorInvalidConfiguration;
    emulated::know_kernel(kernel);
    how->stream->put_kernel([shape, kernel, copies = std::tuple<Parameters...>(arguments...)] {
        emulated::run_kernel(shape, [&] { std::apply(kernel, copies); });
        return cudaSuccess;
    });
    return cudaSuccess;
}

// Graphs of one chain: what is launched are copies of the nodes' parameters at that time.

struct cudaKernelNodeParams {
    void* func = nullptr;
    dim3 gridDim, blockDim;
    unsigned sharedMemBytes = 0;
    void** kernelParams = nullptr;
    void** extra = nullptr;
};
enum { cudaGraphDependencyTypeProgrammatic = 1, cudaGraphKernelNodePortProgrammatic = 1 };
struct cudaGraphEdgeData {
    unsigned char from_port, to_port, type, reserved[5];
};
struct cudaMemsetParams {
    void* dst;
    size_t pitch;
    unsigned value, elementSize;
    size_t width, height;
};

namespace emulated {
struct Node {
    void* func = nullptr;  ///< nullptr: a memset
    size_t number = 0;
    std::function<cudaError_t(unsigned cluster)> run;
    bool is_behind = false;  ///< another node, or the first
    unsigned cluster = 1;
};
struct Graph {
    std::vector<std::unique_ptr<Node>> nodes;
};
struct Executable {
    std::vector<Node> nodes;
};
inline std::function<cudaError_t(unsigned)> action_of(const cudaKernelNodeParams& p) {
    const auto thread = bind_kernel(p.func, p.kernelParams);
    const Shape plain{p.gridDim, p.blockDim.x, p.sharedMemBytes, 1};
    return [=, kernel = p.func](unsigned cluster) {
        Shape shape = plain;
        shape.cluster = cluster;
        if (!is_launch(shape, kernel) || !thread) return cudaErrorInvalidConfiguration;
        emulated::run_kernel(shape, thread);
        return cudaSuccess;
    };
}
inline std::function<cudaError_t(unsigned)> action_of(const cudaMemsetParams& p) {
    return [p](unsigned) {
        if (p.elementSize != 1 || p.height != 1 || p.width == 0) return cudaErrorInvalidValue;
        return set_memory(p.dst, static_cast<int>(p.value), p.width);
    };
}
template <class Params>
cudaError_t add_node(Node** out, Graph* graph, Node* const* before, size_t count, void* func,
                     const Params& params) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    const bool is_first = graph->nodes.empty();
    if (count > (is_first ? 0U : 1U)) return cudaErrorInvalidValue;
    if (count == 1 && *before != graph->nodes.back().get()) return cudaErrorInvalidValue;
    graph->nodes.push_back(std::make_unique<Node>(
        Node{func, graph->nodes.size(), action_of(params), is_first || count == 1}));
    *out = graph->nodes.back().get();
    return cudaSuccess;
}
template <class Params>
cudaError_t set_node(Executable* executable, const Node* node, void* func, const Params& params) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    Node& to = executable->nodes.at(node->number);
    if (to.func != func) return cudaErrorInvalidValue;
    to.run = action_of(params);
    return cudaSuccess;
}
}  // namespace emulated
using cudaGraph_t = emulated::Graph*;
using cudaGraphNode_t = emulated::Node*;
using cudaGraphExec_t = emulated::Executable*;

inline cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    *graph = new emulated::Graph;
    ++emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    --emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                          const cudaGraphNode_t* before, size_t count,
                                          const cudaKernelNodeParams* params) {
    return emulated::add_node(node, graph, before, count, params->func, *params);
}
inline cudaError_t cudaGraphKernelNodeSetAttribute(cudaGraphNode_t node, cudaLaunchAttributeID,
                                                   const cudaLaunchAttributeValue* value) {
    node->cluster = value->clusterDim.x;
    return cudaSuccess;
}
inline cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                          const cudaGraphNode_t* before, size_t count,
                                          const cudaMemsetParams* params) {
    return emulated::add_node(node, graph, before, count, nullptr, *params);
}
/// Of the last node, behind the one before, where both are kernels that may overlap.
inline cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                            const cudaGraphNode_t* to,
                                            const cudaGraphEdgeData* edge, size_t count) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    if (!emulated::is_hopper() || emulated::faults().overlaps_are_refused)
        return cudaErrorInvalidValue;
    const bool is_overlap = edge->type == cudaGraphDependencyTypeProgrammatic &&
                            edge->from_port == cudaGraphKernelNodePortProgrammatic &&
                            edge->to_port == 0;
    const bool is_chain = count == 1 && *to == graph->nodes.back().get() && !(*to)->is_behind &&
                          *from == graph->nodes.at((*to)->number - 1).get();
    if (!is_overlap || !is_chain || (*from)->func == nullptr || (*to)->func == nullptr)
        return cudaErrorInvalidValue;
    (*to)->is_behind = true;
    ++emulated::traffic().overlaps;
    return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                        unsigned long long) {
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    for (const auto& node : graph->nodes)
        if (!node->is_behind) return cudaErrorInvalidValue;
    *executable = new emulated::Executable;
    ++emulated::objects();
    for (const auto& node : graph->nodes) (*executable)->nodes.push_back(*node);
    ++emulated::traffic().graphs;
    return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete executable;
    --emulated::objects();
    return cudaSuccess;
}
inline cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable,
                                                    cudaGraphNode_t node,
                                                    const cudaKernelNodeParams* params) {
    return emulated::set_node(executable, node, params->func, *params);
}
inline cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t executable,
                                                    cudaGraphNode_t node,
                                                    const cudaMemsetParams* params) {
    return emulated::set_node(executable, node, nullptr, *params);
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    if (emulated::faults().launches_fail) return cudaErrorLaunchFailure;
    if (emulated::call_fails()) return cudaErrorMemoryAllocation;
    ++emulated::traffic().graph_launches;
    for (const emulated::Node& node : executable->nodes)
        stream->put([run = node.run, cluster = node.cluster] { return run(cluster); });
    return cudaSuccess;
}
