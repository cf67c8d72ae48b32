// SPDX-License-Identifier: Apache-2.0
// NCCL as it is installed on this machine, or the line that says that it is not.
#include "cuda/nccl.hpp"

#include <gtest/gtest.h>

namespace {

using namespace trainyard;

TEST(nccl, answers_or_is_named_as_missing) {
    const auto nccl = cuda::load_nccl();
    if (!nccl) {
        EXPECT_NE(nccl.error().find("libnccl.so.2"), std::string::npos);
        EXPECT_EQ(nccl.error().find('\n'), std::string::npos);
        return;
    }
    EXPECT_STREQ(nccl->get_error_string(cuda::kNcclSuccess), "no error");
    cuda::NcclComm comm = nullptr;
    const auto refused = nccl->comm_init_rank(&comm, 0, {}, 0);
    EXPECT_NE(refused, cuda::kNcclSuccess) << "a crew of none";
}

}  // namespace
