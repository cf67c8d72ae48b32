// SPDX-License-Identifier: Apache-2.0
// SHA-256 and RIPEMD-160 through OpenSSL's low-level calls, which need no lookup per digest.
#include "core/hash.hpp"

#include "core/assert.hpp"

#include <openssl/ripemd.h>
#include <openssl/sha.h>

namespace trainyard {

const Hash kEmptyCodeHash{{0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e, 0x7d,
                           0xb2, 0xdc, 0xc7, 0x03, 0xc0, 0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82,
                           0x27, 0x3b, 0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70}};
const Hash kEmptyTrieRoot{{0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6, 0xff, 0x83, 0x45,
                           0xe6, 0x92, 0xc0, 0xf8, 0x6e, 0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c,
                           0xad, 0xc0, 0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21}};
const Hash kEmptyListHash{{0x1d, 0xcc, 0x4d, 0xe8, 0xde, 0xc7, 0x5d, 0x7a, 0xab, 0x85, 0xb5,
                           0x67, 0xb6, 0xcc, 0xd4, 0x1a, 0xd3, 0x12, 0x45, 0x1b, 0x94, 0x8a,
                           0x74, 0x13, 0xf0, 0xa1, 0x42, 0xfd, 0x40, 0xd4, 0x93, 0x47}};

Hash sha256(BytesView data) {
    SHA256_CTX context;
    Hash out;
    SHA256_Init(&context);
    SHA256_Update(&context, data.data(), data.size());
    SHA256_Final(out.data(), &context);
    return out;
}

FixedBytes<20> ripemd160(BytesView data) {
    RIPEMD160_CTX context;
    FixedBytes<20> out;
    RIPEMD160_Init(&context);
    RIPEMD160_Update(&context, data.data(), data.size());
    RIPEMD160_Final(out.data(), &context);
    return out;
}

struct Sha256::Impl {
    SHA256_CTX context;
    bool finished = false;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
    SHA256_Init(&impl_->context);
}
Sha256::~Sha256() = default;

Sha256& Sha256::update(BytesView data) {
    ASSERT(!impl_->finished);
    SHA256_Update(&impl_->context, data.data(), data.size());
    return *this;
}

Hash Sha256::finish() {
    ASSERT(!impl_->finished);
    impl_->finished = true;
    Hash out;
    SHA256_Final(out.data(), &impl_->context);
    return out;
}

}  // namespace trainyard
