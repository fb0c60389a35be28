"""English words that hold a sentence together rather than mean something."""

_LIST = """
a an the this that these those some any each every either neither no not none all both few many much more most
less least other another such own same
i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself
we us our ours ourselves they them their theirs themselves one ones who whom whose which what
am is are was were be been being have has had having do does did doing done will would shall should can could
may might must ought need
about above across after against along among around as at before behind below beneath beside besides between
beyond but by despite down during except for from in inside into like near of off on onto out outside over per
since through throughout till to toward towards under until up upon via with within without
and or nor so yet if because although though while whereas unless whether than when where why how
there here then now just only very too also ever never again once even still
"""

FUNCTION_WORDS = frozenset(_LIST.split())
"""Articles, pronouns, auxiliary verbs, prepositions, conjunctions, negations and the commonest adverbs."""
