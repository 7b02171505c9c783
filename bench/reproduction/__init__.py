"""Tables and figures by the name a user asks for, all run and every claim about them judged."""
