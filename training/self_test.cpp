// SPDX-License-Identifier: Apache-2.0
// Digests of every operator, and the table of what they must be.
#include "training/self_test.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "training/numerics/functions.hpp"
#include "training/operator_cases.hpp"

namespace trainyard::training {

namespace {

struct Row {
    std::string_view name, digest;
};
/// Computed by make_reference_backend; tests/training/self_test_test.cpp prints them anew.
constexpr std::array kRows{
    Row{"adamw", "14c6512642dd899f80b4cd8f2a36cdf0bcb2f108b7cde8bcadc1474e56554939"},
    Row{"add, gelu, gelu_grad", "d99947728ce58dc5fd3746f8b01e71b98ae0ffdade044a8395a5934f9e2bcf07"},
    Row{"attention", "924088942fd4309f26a7b924fcb0ec9c14b26a618b4a108a7c2eb324d65affb3"},
    Row{"attention_full", "d18a17c77ddf1dee797497c9f84a5812760b72e40e625d275e00f1c27582044f"},
    Row{"broadcast_add", "95a86b9daae503e38742d60e5a8dd9d71ad1bd404e7593aa0de5b75f6251b94b"},
    Row{"broadcast_sum", "573ab625d442a4d54e8fe740203c0fbd78f48a0bac803da27ab95edc0efcb26e"},
    Row{"clip_norm", "d7c51ad7af7f4a92a353a5e7789ac2f9320b130de0600ba68810be381c03d163"},
    Row{"col2im", "43da02267b84407ae3eb70551244d83671cd74e4695c218d32c7674d93738d62"},
    Row{"concat", "243f897d79974e0ed8e42cae00d60025ea137b9530b379ba9f878844e534a5de"},
    Row{"cross_entropy", "37dcd92be1d5027b9b3a881103cb8d6566164846e126fac10ce65644a118f7ee"},
    Row{"cross_entropy_both", "37dcd92be1d5027b9b3a881103cb8d6566164846e126fac10ce65644a118f7ee"},
    Row{"diffuse", "8ebd86f1adbbc5ddea347219738fc913e0b2f769fc7884adef8edbd4d388d6d8"},
    Row{"downsample", "e857b9fb3bb93969a2a9a91e8ae30db786f6c473a84926692c542594ae833599"},
    Row{"embedding", "570bc1f219c8a0af572b9d6126140c7f88b57e3e0fccc77276c0c082c5a0886f"},
    Row{"embedding_grad", "c875bd66e675ff8d33187d4d2b2e5824bccb9e8e66d0d6b0c5470c3b5d51b246"},
    Row{"group_norm", "929ff88e38ea0471ebe22186ebe30ef998ae5500a050d25d28769e8a0964872e"},
    Row{"group_norm_grad", "366e61789f076a63ee0eed85800c1e5785ba2b025dde0d2383aee6741804f307"},
    Row{"im2col", "32d98cf302ba3decfbbd76ed99ac05cc02a53372136afc06a6208ded22cc6f5f"},
    Row{"layer_norm", "9f926c6ae5857b8574ef3ad5f6215caf9a99aec1f4b5dda03d04ea204e5a2c3a"},
    Row{"layer_norm_grad", "e04be668fc5f8e74b8b3cb6b3798f78b271cde2eac65b35711994dd92447205a"},
    Row{"linear", "15b517bcce1995cbaaa51687c2adc28efcd784208979ac7204d32ba059a48eb8"},
    Row{"linear_grad", "d71d5cc3f37d5280da19fd8b9e3b0e4ba70747ad4d463e9f1fbb2a051d957398"},
    Row{"linear_grad_x", "f7ae608507d530ce098ffd26afce0abde3f4d70394e2e1654bcf93bf72affc23"},
    Row{"lookup", "e9d00e37c79ef8d846d25da968a6a41698d1f1aca8b8edf43866092717a41f1a"},
    Row{"lookup_grad", "d1b778a143c68e979892947ab49eeb3ffddeed122516b724f0a07198b3bf17c3"},
    Row{"matmul", "57f05255f72af49302109dd7dd4636f88047d672e94c5b11c55f814c772056b4"},
    Row{"matmul_grad", "440fdcbdefacf6bf49da54c15542b9bc99a1d8153f92e3da197cd2536f90bfb7"},
    Row{"mean_square", "4829752e7de02a280a6a85ded183696b70748e09c27fe8318592db7b95690b48"},
    Row{"mean_square_grad", "816fea5d29c9f1af1e05c06ef7f79ccfe2e8c33dcb1476e263a222c7b2e22c3b"},
    Row{"mul", "e80e6e88abff35fcadac9dd6084bcec358a85ac1523fdd4e1ef4ee59acb1f313"},
    Row{"noise", "74d2f4c71dea46853be0dfac7c12d37b47069b9212a32642811e69eb2bcc714b"},
    Row{"relu", "804a4f77887900afd73069d0ab57f40e8f1b5199f97c4ce514a2a2d56d533945"},
    Row{"relu_grad", "11b5611a29741a361a1fcfa2606955aecfeecc6b2c9662a3036c705a1a411107"},
    Row{"repeat", "5fddb9a505f40b280c567354ae32c0b6d62ac4c6af082d4cdd05ec298cc083f0"},
    Row{"repeat_grad", "105a4e18d261b01bd107c2b199eb198a34b60905f8e26341f0194ab9558b15d3"},
    Row{"reshape", "0dd35be5cf550a3e22ca128b9657798576b6d7765210e3f4f4351611a8b1ebad"},
    Row{"rms_norm", "63dfdd3aaad57d7dcf890c65e735925772fcb0f556da406bb8d79b0ef2ef0192"},
    Row{"rope", "0ef3dab73a754489a49f080e98c779e978b0bbc2b845c2cfcd1b7b03543c0348"},
    Row{"rope_grad", "5b94c91211f69c2dc1d117bc511368738b0584e885978a7f7b15cedb7da35dcd"},
    Row{"scale", "91c5b036f60101b11227eb233d8e661b1bc65140c128179739281097359aa593"},
    Row{"sequence", "fa23dd03c729b37daedf56c01409050c7ccf7068f0b0139365194dcdf8e7ba42"},
    Row{"sgd", "d0e7e22460d823323f3b7270f92746cbcf671085ce8ce670469cbb907c94111d"},
    Row{"silu", "655b90c510e77c4b3379fcf30d3e1ab7a6b8240a890f89de09732627c6d7b8d8"},
    Row{"silu_grad", "3dacb053fab0c95f60be4c40ab3cd72f3c2bfae75f7a37cbc2cce62112d47522"},
    Row{"slice", "cf81faf423b352b1e090dcc5ab405247e981c93037172f5c2d11cf4ef8601137"},
    Row{"slice_grad", "5d0983476ed7350dd310ed7bec1d23e3a5eb94ea06f8b6490c01f5128c2122fb"},
    Row{"softmax", "f997ac54f04ee71b89837ec5d87d004221b45e02fdc197fb423dbb60997a7199"},
    Row{"softmax_grad", "1f633406cf94c998db53dad3566441468bf19a6e93904088fe613e689ce99c2c"},
    Row{"sum, sum_squares", "046003cf55ff51f2943e7bc3d5fef5682ce901f4a48bc7dae023a14ef9b2bfec"},
    Row{"tanh", "63e2d7446905f327e20b55a037b50812cba7aef17ee2fba1524f507202fd8abc"},
    Row{"tanh_grad", "211e21bb7a23101d4fb359e722a81ae39000b3c34bd0e5fdcc91cb57a2de04a1"},
    Row{"tile_roots", "c3f646ef7310037913b27fcfb4bec109e9373d451c7f347e32e30fb238f00787"},
    Row{"timestep", "e3b7107bdc3b31864ed3d450c95ea20a315cad7527ee7f7fabb2678b189ac9d6"},
    Row{"transpose", "52d0d3271ec46d6b4647b61896a71ccb09cc8bddd4535444b89b0738eb6b7e3f"},
    Row{"updates", "c08e6b70d66926385182833e2b59b1f57f39ed619fd20b3b2b4e59a8b6327b5a"},
    Row{"upsample", "2dada331fdbce8a7792cb248fc99024f749cf36ffcaea9f06a9d86af4e0dbe66"},
};

/// "linear_grad" of "linear_grad 65x130x67".
std::string_view operator_of(std::string_view name) {
    size_t at = name.find_first_of("0123456789");
    while (at != std::string_view::npos && name[at - 1] != ' ')
        at = name.find_first_of("0123456789", at + 1);
    return at == std::string_view::npos ? name : name.substr(0, at - 1);
}

/// The cases sorted by operator; those of one operator stay in order.
std::vector<OperatorCase> sorted_cases() {
    auto cases = operator_cases();
    std::stable_sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) {
        return operator_of(a.name) < operator_of(b.name);
    });
    return cases;
}

Result<Hash, std::string> digest_of(Backend& backend, std::span<const OperatorCase> cases) {
    Bytes bits;
    for (const OperatorCase& c : cases) {
        const auto outputs = run_case(backend, c);
        if (!outputs) return unexpected(c.name + ": " + std::string(to_text(outputs.error())));
        for (const Values& values : *outputs)
            for (const float x : values) append_le<uint32_t>(bits, bits_of(x));
    }
    return sha256(bits);
}

/// Calls `each(name, cases)` with the cases of one operator after another until it is false.
template <class Each>
void for_each_operator(const std::vector<OperatorCase>& cases, const Each& each) {
    for (size_t first = 0, last = 0; first < cases.size(); first = last) {
        const std::string_view name = operator_of(cases[first].name);
        while (last < cases.size() && operator_of(cases[last].name) == name) ++last;
        if (!each(name, std::span(cases).subspan(first, last - first))) return;
    }
}

/// Where `backend` differs from the reference of this machine.
std::string find_difference(Backend& backend, std::string_view name,
                            std::span<const OperatorCase> cases) {
    for (const OperatorCase& c : cases)
        if (const auto same = check_case(backend, c); !same) return same.error();
    return std::string(name) +
           ": differs from its committed hash and not from the reference of this machine; the "
           "program was built wrongly, or its processor computes wrongly";
}

}  // namespace

std::vector<OperatorDigest> committed_digests() {
    std::vector<OperatorDigest> out;
    for (const Row& row : kRows)
        out.push_back({std::string(row.name), *fixed_from_hex<Hash>(row.digest)});
    return out;
}

Result<std::vector<OperatorDigest>, std::string> operator_digests(Backend& backend) {
    std::vector<OperatorDigest> out;
    std::string failure;
    const auto cases = sorted_cases();
    for_each_operator(cases, [&](std::string_view name, std::span<const OperatorCase> of) {
        auto digest = digest_of(backend, of);
        if (digest)
            out.push_back({std::string(name), *digest});
        else
            failure = digest.error();
        return digest.has_value();
    });
    if (!failure.empty()) return unexpected(failure);
    return out;
}

Result<uint32_t, std::string> self_test(Backend& backend) {
    const auto committed = committed_digests();
    const auto cases = sorted_cases();
    uint32_t passed = 0;
    std::string failure;
    for_each_operator(cases, [&](std::string_view name, std::span<const OperatorCase> of) {
        const auto digest = digest_of(backend, of);
        if (!digest)
            failure = digest.error();
        else if (passed == committed.size() || committed[passed].name != name)
            failure = std::string(name) + ": has no committed hash";
        else if (committed[passed].digest != *digest)
            failure = find_difference(backend, name, of);
        else
            ++passed;
        return failure.empty();
    });
    if (!failure.empty()) return unexpected(failure);
    if (auto flags = check_flags(backend); !flags) return unexpected(flags.error());
    if (auto sums = check_state_sums(backend); !sums) return unexpected(sums.error());
    return passed;
}

}  // namespace trainyard::training
