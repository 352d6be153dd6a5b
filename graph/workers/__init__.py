"""Workers: processes that hold dialogues in the driver's place, where `dialogue.workers` asks for several."""
