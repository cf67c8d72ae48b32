// SPDX-License-Identifier: Apache-2.0
// Looking up NCCL's functions by name.
#include "cuda/nccl.hpp"

#include <dlfcn.h>

namespace trainyard::cuda {

namespace {

template <class Function>
bool find(void* library, const char* name, Function*& out) {
    out = reinterpret_cast<Function*>(dlsym(library, name));
    return out != nullptr;
}

}  // namespace

Result<Nccl, std::string> load_nccl() {
    constexpr const char* kName = "libnccl.so.2";
    void* const library = dlopen(kName, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
        return unexpected(std::string(kName) + " cannot be loaded, install NCCL (libnccl2)");
    Nccl nccl = {};
    const bool is_whole =
        find(library, "ncclGetUniqueId", nccl.get_unique_id) &&
        find(library, "ncclCommInitRank", nccl.comm_init_rank) &&
        find(library, "ncclCommDestroy", nccl.comm_destroy) &&
        find(library, "ncclCommAbort", nccl.comm_abort) && find(library, "ncclSend", nccl.send) &&
        find(library, "ncclRecv", nccl.recv) && find(library, "ncclBroadcast", nccl.broadcast) &&
        find(library, "ncclGetErrorString", nccl.get_error_string);
    if (!is_whole)
        return unexpected(std::string(kName) + " has no ncclSend, install NCCL 2.7 or later");
    return nccl;
}

}  // namespace trainyard::cuda
