// SPDX-License-Identifier: Apache-2.0
// The interpreter on any code: no crash, gas never grows, the same run twice, and a tracer changes
// nothing.
#include "consensus/transition/evm.hpp"
#include "core/assert.hpp"
#include "vm/opcodes.hpp"

namespace trainyard {
namespace {

constexpr int64_t kGas = 200'000;
constexpr uint8_t kRevisions = static_cast<uint8_t>(vm::kRevisionCount);

Address account(uint8_t n) {
    Address address;
    address[18] = 0xc0;
    address[19] = n;
    return address;
}

/// Two contracts with the code under test in both, so that calls of either go on.
class CodeView final : public state::StateView {
public:
    explicit CodeView(BytesView code) : code_(code.begin(), code.end()), hash_(keccak256(code)) {}
    [[nodiscard]] std::optional<state::Account> account(const Address& address) const override {
        if (address != trainyard::account(1) && address != trainyard::account(2))
            return std::nullopt;
        return state::Account{1, 1'000'000, code_.empty() ? kEmptyCodeHash : hash_, kEmptyTrieRoot};
    }
    [[nodiscard]] Uint256 storage(const Address&, const Uint256& slot) const override {
        return slot == Uint256(1) ? Uint256(7) : Uint256();
    }
    [[nodiscard]] Bytes code(const Hash&) const override { return code_; }

private:
    Bytes code_;
    Hash hash_;
};

struct Run {
    vm::CallResult result;
    state::StateDiff diff;
};

class NullTracer final : public vm::Tracer {
public:
    void on_enter(const vm::Message&) override {}
    void on_exit(const vm::CallResult&) override {}
    void on_step(const vm::StepView&) override {}
    void on_fault(vm::Status) override {}
};

enum class Loop { as_it_comes, translated, traced };

Run run(const CodeView& view, vm::Revision revision, BytesView input, Loop loop) {
    NullTracer tracer;
    const auto config = consensus::ethereum_config(1, {{revision, 0, 0, {6, 9, 5007716}}});
    consensus::ExecutionContext context{config,
                                        {},
                                        [](uint64_t n) { return to_hash(n); },
                                        loop == Loop::traced ? &tracer : nullptr};
    context.env.number = 300;
    context.env.gas_limit = 30'000'000;
    consensus::World world(view, context.rules());
    consensus::Evm evm(world, context);
    evm.begin(account(2), 1);
    if (loop == Loop::translated)
        (void)world.code_of(world.account(account(1)))->make_fast(vm::instructions_of(revision));
    vm::Message message;
    message.gas = kGas;
    message.sender = account(2);
    message.recipient = message.code_address = account(1);
    message.value = 1;
    message.input = input;
    Run out{evm.call(message), {}};
    world.end_transaction();
    out.diff = world.diff();
    return out;
}

void fuzz_one(BytesView data) {
    if (data.size() < 2) return;
    const auto revision = static_cast<vm::Revision>(data[0] % kRevisions);
    const size_t input_size = std::min<size_t>(data[1], data.size() - 2);
    const BytesView input = data.subspan(2, input_size), code = data.subspan(2 + input_size);
    const CodeView view(code);
    const Run first = run(view, revision, input, Loop::as_it_comes);
    ASSERT(first.result.gas_left >= 0 && first.result.gas_left <= kGas);
    const Run translated = run(view, revision, input, Loop::translated);
    const Run traced = run(view, revision, input, Loop::traced);
    for (const Run* other : {&translated, &traced}) {
        ASSERT(other->result.status == first.result.status);
        ASSERT(other->result.gas_left == first.result.gas_left);
        ASSERT(other->result.output == first.result.output);
        ASSERT(other->diff == first.diff);
    }
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    trainyard::fuzz_one({data, size});
    return 0;
}
