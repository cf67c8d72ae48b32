// SPDX-License-Identifier: Apache-2.0
// TEST ONLY: an auditor that was bought.
#pragma once

#include "node/verify/verifier.hpp"

namespace trainyard::node::verify {

/// Says of every replayed segment that it is wrong, as all of its kind say it: with one number that
/// none of them has computed. Audits and the turns of disputes are the honest verifier's, which is
/// given by reference and must live longer.
class Accuser final : public Verifier {
public:
    explicit Accuser(Verifier& honest) : honest_(honest) {}
    [[nodiscard]] std::string name() override { return honest_.name(); }
    [[nodiscard]] Result<std::vector<AuditResult>, VerifyError> audit(
        const AuditRequest& request) override {
        return honest_.audit(request);
    }
    [[nodiscard]] Result<VerifyAnswer, VerifyError> replay(const ReplayRequest& request) override;
    [[nodiscard]] Result<Pick, VerifyError> pick(const PickRequest& request) override {
        return honest_.pick(request);
    }

private:
    Verifier& honest_;
};

}  // namespace trainyard::node::verify
