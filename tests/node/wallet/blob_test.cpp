// SPDX-License-Identifier: Apache-2.0
// The id of a blob is the same whether one thread computes it or several.
#include "node/wallet/blob.hpp"

#include <gtest/gtest.h>

#include "core/blob.hpp"

namespace trainyard::node::wallet {
namespace {

TEST(wallet_blob, id_of_small_and_large_blobs_is_that_of_a_node) {
    constexpr size_t kShared = size_t{16} << 20;
    Bytes bytes(2 * kShared + 4097);
    for (size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<uint8_t>(static_cast<uint32_t>(i) * 0x9E3779B1U >> 24);
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{4097}, kShared - 1, kShared, kShared + 1, bytes.size()}) {
        const BytesView some = BytesView(bytes).first(size);
        EXPECT_EQ(blob_id(some), blob::id(some)) << size;
    }
}

}  // namespace
}  // namespace trainyard::node::wallet
