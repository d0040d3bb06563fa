"""Coded: the closed vocabularies that decide which words a redacted copy may repeat.

What a person may fill with any word could be made to spell a name; so a copy repeats a word only when it is of a
vocabulary listed here (STIX 2.1 §10, OASIS incident core, MITRE ATT&CK tactics, our extension). Which properties
a copy may hold at all is data: `extensions/effects/redaction-groups.json`.
"""

import re
from collections.abc import Mapping

from tocsin.stix import effects
from tocsin.stix.effects import EXTENSION_ID, INCIDENT_CORE_ID

# STIX 2.1 §10
_MOTIVATION = (
    "accidental coercion dominance ideology notoriety organizational-gain personal-gain personal-satisfaction"
    " revenge unpredictable"
)
_RESOURCES = "individual club contest team organization government"
_SECTOR = (
    "agriculture aerospace automotive chemical commercial communications construction defense education energy"
    " entertainment financial-services government emergency-services government-national government-regional"
    " government-local government-public-services healthcare hospitality-leisure infrastructure dams nuclear water"
    " insurance manufacturing mining non-profit pharmaceuticals retail technology telecommunications"
    " transportation utilities"
)
_REGION = (
    "africa eastern-africa middle-africa northern-africa southern-africa western-africa americas"
    " latin-america-caribbean south-america caribbean central-america northern-america asia central-asia"
    " eastern-asia southern-asia south-eastern-asia western-asia europe eastern-europe northern-europe"
    " southern-europe western-europe oceania antarctica australia-new-zealand melanesia micronesia polynesia"
)
_INDICATOR = "anomalous-activity anonymization benign compromised malicious-activity attribution unknown"
_INFRASTRUCTURE = (
    "amplification anonymization botnet command-and-control control-system exfiltration firewall hosting-malware"
    " hosting-target-lists phishing reconnaissance routers-switches staging workstation unknown"
)
_MALWARE = (
    "adware backdoor bot bootkit ddos downloader dropper exploit-kit keylogger ransomware remote-access-trojan"
    " resource-exploitation rogue-security-software rootkit screen-capture spyware trojan unknown virus webshell"
    " wiper worm"
)
_CAPABILITIES = (
    "accesses-remote-machines anti-debugging anti-disassembly anti-emulation anti-memory-forensics anti-sandbox"
    " anti-vm captures-input-peripherals captures-output-peripherals captures-system-state-data"
    " cleans-traces-of-infection commits-fraud communicates-with-c2 compromises-data-availability"
    " compromises-data-integrity compromises-system-availability controls-local-machine degrades-security-software"
    " degrades-system-updates determines-c2-server emails-spam escalates-privileges evades-av exfiltrates-data"
    " fingerprints-host hides-artifacts hides-executing-code infects-files infects-remote-machines"
    " installs-other-components persists-after-system-reboot prevents-artifact-access prevents-artifact-deletion"
    " probes-network-environment self-modifies steals-authentication-credentials"
    " violates-system-operational-integrity"
)
_LANGUAGES = (
    "applescript bash c c++ c# go java javascript lua objective-c perl php powershell python ruby scala swift"
    " typescript visual-basic x86-32 x86-64"
)
_ARCHITECTURES = "alpha arm ia-64 mips powerpc sparc x86 x86-64"
_REPORT = (
    "attack-pattern campaign identity indicator intrusion-set malware observed-data threat-actor threat-report"
    " tool vulnerability"
)
_ACTOR = (
    "activist competitor crime-syndicate criminal hacker insider-accidental insider-disgruntled nation-state"
    " sensationalist spy terrorist unknown"
)
_ACTOR_ROLE = "agent director independent infrastructure-architect infrastructure-operator malware-author sponsor"
_SOPHISTICATION = "none minimal intermediate advanced expert innovator strategic"
_TOOL = (
    "denial-of-service exploitation information-gathering network-capture credential-exploitation remote-access"
    " vulnerability-scanning unknown"
)
_PATTERN = "stix pcre sigma snort suricata yara"
_ACCOUNT = "facebook ldap nis openid radius skype tacacs twitter unix windows-local windows-domain"
# STIX 2.1 §5.1 and the tables of each type; OASIS incident suite
_RELATIONSHIP = (
    "analysis-of attributed-to authored-by based-on beacons-to characterizes communicates-with compromises"
    " consists-of controls delivers derived-from downloads drops duplicate-of dynamic-analysis-of exfiltrates-to"
    " exploits has hosts impersonates indicates investigates located-at mitigates originates-from owns related-to"
    " remediates static-analysis-of targets uses variant-of impacts impacted led-to contact-for detected performed"
)
_PHASES = (
    "reconnaissance resource-development initial-access execution persistence privilege-escalation defense-evasion"
    " stealth defense-impairment credential-access discovery lateral-movement collection command-and-control"
    " exfiltration impact inhibit-response-function impair-process-control evasion"
    " weaponization delivery exploitation installation actions-on-objectives"
)
_KILL_CHAINS = "mitre-attack mitre-ics-attack mitre-mobile-attack lockheed-martin-cyber-kill-chain"

_CORE = f"incident.extensions.{INCIDENT_CORE_ID}"
_EFFECTS = f"incident.extensions.{EXTENSION_ID}"
_YES_NO = "yes no"
_SCALES = "CDI NCISS PPD-41 NCSC EuRepoC"

# by the path of a property below its type
_VOCABULARIES: Mapping[str, str] = {
    "identity.identity_class": "individual group system organization class unknown",
    "identity.sectors": _SECTOR,
    "location.region": _REGION,
    "grouping.context": "suspicious-activity malware-analysis unspecified",
    "indicator.indicator_types": _INDICATOR,
    "indicator.pattern_type": _PATTERN,
    "infrastructure.infrastructure_types": _INFRASTRUCTURE,
    "threat-actor.threat_actor_types": _ACTOR,
    "threat-actor.roles": _ACTOR_ROLE,
    "threat-actor.sophistication": _SOPHISTICATION,
    "threat-actor.resource_level": _RESOURCES,
    "threat-actor.primary_motivation": _MOTIVATION,
    "threat-actor.secondary_motivations": _MOTIVATION,
    "threat-actor.personal_motivations": _MOTIVATION,
    "intrusion-set.resource_level": _RESOURCES,
    "intrusion-set.primary_motivation": _MOTIVATION,
    "intrusion-set.secondary_motivations": _MOTIVATION,
    "malware.malware_types": _MALWARE,
    "malware.architecture_execution_envs": _ARCHITECTURES,
    "malware.implementation_languages": _LANGUAGES,
    "malware.capabilities": _CAPABILITIES,
    "malware-analysis.result": "malicious suspicious benign unknown",
    "opinion.opinion": "strongly-disagree disagree neutral agree strongly-agree",
    "report.report_types": _REPORT,
    "tool.tool_types": _TOOL,
    "relationship.relationship_type": _RELATIONSHIP,
    "user-account.account_type": _ACCOUNT,
    **{
        f"{kind}.kill_chain_phases[].{name}": words
        for kind in ("attack-pattern", "indicator", "infrastructure", "malware", "tool")
        for name, words in (("kill_chain_name", _KILL_CHAINS), ("phase_name", _PHASES))
    },
    f"{_CORE}.determination": " ".join(effects.DETERMINATIONS),
    f"{_CORE}.investigation_status": " ".join(effects.INVESTIGATION_STATUSES),
    f"{_CORE}.recoverability": "extended not-applicable not-recoverable regular supplemented",
    f"{_CORE}.scores[].name": _SCALES,
    f"{_EFFECTS}.effect_type": " ".join(effects.EFFECT_TYPES),
    f"{_EFFECTS}.effects[].effect": " ".join(effects.EFFECTS),
    f"{_EFFECTS}.effects[].basis": " ".join(effects.BASES),
    f"{_EFFECTS}.stage": " ".join(effects.STAGES),
    f"{_EFFECTS}.means": " ".join(effects.MEANS),
    f"{_EFFECTS}.root_cause": " ".join(effects.ROOT_CAUSES),
    f"{_EFFECTS}.actor_type": " ".join(effects.ACTOR_TYPES),
    f"{_EFFECTS}.motives": " ".join(effects.MOTIVES),
    f"{_EFFECTS}.claimed_by": " ".join(effects.CLAIMED_BY),
    f"{_EFFECTS}.severity.method": "topology ordinal reported",
    f"{_EFFECTS}.severity.scores[].name": _SCALES,
    f"{_EFFECTS}.public_core[].element": " ".join(effects.PUBLIC_CORE),
    f"{_EFFECTS}.request.type": " ".join(effects.REQUESTS),
    **{f"{_EFFECTS}.answers.{question}": _YES_NO for question in effects.QUESTIONS},
    f"{_EFFECTS}.answers.places": " ".join(effects.PLACES),
    f"{_EFFECTS}.classified.basis": " ".join(effects.BASES),
    f"{_EFFECTS}.classified.role": "analyst publisher operator auditor",
    f"{_EFFECTS}.classified.assumed": "determination investigation_status effect_type stage tlp countries sectors",
}
VOCABULARIES: Mapping[str, frozenset[str]] = {
    path: frozenset(words.split()) for path, words in _VOCABULARIES.items()
}

# codes that are a form and no list
FORMS: Mapping[str, re.Pattern[str]] = {
    "location.country": re.compile(r"^[A-Z]{2}$"),
    f"{_EFFECTS}.countries": re.compile(r"^[A-Z]{2}$"),
    "vulnerability.name": re.compile(r"^CVE-\d{4}-\d{4,12}$", re.ASCII),
}

# properties that STIX 2.1 knows and no copy ever holds: never "unknown", whatever is kept
NEVER: Mapping[str, frozenset[str]] = {
    "incident": frozenset({"kill_chain_phases"}),
    "malware-analysis": frozenset(
        {
            "analysis_definition_version",
            "analysis_engine_version",
            "configuration_version",
            "host_vm_ref",
            "modules",
            "operating_system_ref",
        }
    ),
    "observed-data": frozenset({"objects"}),
    "user-account": frozenset(
        {
            "account_created",
            "account_expires",
            "account_first_login",
            "account_last_login",
            "credential",
            "credential_last_changed",
        }
    ),
    "x509-certificate": frozenset({"x509_v3_extensions"}),
}
