// SPDX-License-Identifier: Apache-2.0
// The functions of NVIDIA's NCCL that pass memory between devices, found at run time: programs are
// built without it and run where it is missing.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "core/result.hpp"

namespace trainyard::cuda {

// Layouts and numbers as in nccl.h; they are those of every libnccl.so.2.
struct NcclId {
    std::array<char, 128> bytes;
};
using NcclComm = void*;    ///< a process's end of the connections
using NcclStream = void*;  ///< a cudaStream_t
using NcclResult = int;
constexpr NcclResult kNcclSuccess = 0;
constexpr int kNcclFloat = 7;

struct Nccl {
    NcclResult (*get_unique_id)(NcclId* id);
    NcclResult (*comm_init_rank)(NcclComm* comm, int size, NcclId id, int rank);
    NcclResult (*comm_destroy)(NcclComm comm);
    NcclResult (*comm_abort)(NcclComm comm);
    NcclResult (*send)(const void* x, size_t count, int type, int to, NcclComm comm,
                       NcclStream stream);
    NcclResult (*recv)(void* x, size_t count, int type, int from, NcclComm comm, NcclStream stream);
    NcclResult (*broadcast)(const void* from, void* to, size_t count, int type, int root,
                            NcclComm comm, NcclStream stream);
    const char* (*get_error_string)(NcclResult result);
};

/// The library stays loaded. Error: one line that says what is missing.
[[nodiscard]] Result<Nccl, std::string> load_nccl();

}  // namespace trainyard::cuda
