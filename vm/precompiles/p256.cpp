// SPDX-License-Identifier: Apache-2.0
// Precompile 0x100: is this ECDSA signature over the curve P-256 right? (EIP-7951, through OpenSSL)
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>

#include <array>
#include <memory>

#include "vm/precompiles.hpp"

namespace trainyard::vm::precompile {
namespace {

constexpr size_t kInputSize = 160;  // hash 32 | r 32 | s 32 | x 32 | y 32

template <class T, void (*kFree)(T*)>
struct Deleter {
    void operator()(T* object) const { kFree(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG, ECDSA_SIG_free>>;

/// Null unless (x, y) is a point of the curve with coordinates below the field's prime.
Key make_key(BytesView x_and_y) {
    std::array<uint8_t, 65> point;
    point[0] = 0x04;  // uncompressed
    std::copy(x_and_y.begin(), x_and_y.end(), point.begin() + 1);
    char group[] = "P-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
        OSSL_PARAM_construct_end()};
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    EVP_PKEY* key = nullptr;
    if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return nullptr;
    return Key(key);
}

/// DER, which is what EVP_PKEY_verify reads.
Bytes encode_signature(BytesView r_and_s) {
    const Signature signature(ECDSA_SIG_new());
    ECDSA_SIG_set0(signature.get(), BN_bin2bn(r_and_s.data(), 32, nullptr),
                   BN_bin2bn(r_and_s.data() + 32, 32, nullptr));
    Bytes der(static_cast<size_t>(std::max(0, i2d_ECDSA_SIG(signature.get(), nullptr))));
    uint8_t* out = der.data();
    i2d_ECDSA_SIG(signature.get(), &out);
    return der;
}

bool is_right(BytesView input) {
    const Key key = make_key(input.subspan(96));
    if (!key) return false;
    const Bytes der = encode_signature(input.subspan(32, 64));
    const KeyContext context(EVP_PKEY_CTX_new(key.get(), nullptr));
    return context && EVP_PKEY_verify_init(context.get()) == 1 &&
           EVP_PKEY_verify(context.get(), der.data(), der.size(), input.data(), 32) == 1;
}

}  // namespace

int64_t p256_verify_gas(BytesView, const Rules&) {
    return 6900;
}

Output p256_verify(BytesView input, const Rules&) {
    if (input.size() != kInputSize || !is_right(input)) return Bytes();
    Bytes yes(32);
    yes[31] = 1;
    return yes;
}

}  // namespace trainyard::vm::precompile
